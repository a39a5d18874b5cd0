import sys

from eddpm.cli import main

sys.exit(main())
