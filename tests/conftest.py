"""One thread for every test: two processes of two threads on two cores run slower than one after the other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
