"""``python -m mgimm_plugin.train --stage region|image ...``."""

import sys

import mgimm_plugin

if __name__ == "__main__":
    mgimm_plugin.register()
    from mgimm_plugin.train.stages import main

    sys.exit(main())
