#!/usr/bin/env bash
# The table "Three other decodings of the published network" in docs/log.md, on validation questions. RUN is
# what recipes/choose-arithmetic.sh left; its report is replaced. 20 minutes on one thread in float32.
#
#     recipes/decodings.sh RUN
set -euo pipefail
run=$1

skiploop train --method polar --epochs 5 --run "$run"
skiploop evaluate --split validation --limit 500 --k 5 --memory 3 --run "$run" \
  --policy selector,polar,polar:joint,polar:prior,polar:menu,damped
