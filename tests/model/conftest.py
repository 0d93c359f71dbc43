import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Two threads next to another busy process are many times slower than one."""
    torch.set_num_threads(1)
