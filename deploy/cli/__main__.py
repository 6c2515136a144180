import os

from deploy.cli import app

# A process that a role starts to share its work imports this module again.
if __name__ == "__main__":
    # For all that is started from here, before any of it loads numpy: the threads of its library spin while they wait
    # for each other, which takes processors from those who answer somebody and makes a fit no faster.
    for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")
    app(prog_name="shuke")
