"""``python -m mgimm_plugin`` is ``mgimm``."""

from mgimm_plugin.cli import main

if __name__ == "__main__":
    main()
