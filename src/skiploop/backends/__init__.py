"""Work that is handed to many processes, on one machine or several; knows no trial."""
