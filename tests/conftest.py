"""For every test: hypothesis draws the same examples each time, unless it is asked to look for new ones.

HYPOTHESIS_PROFILE=explore pytest …      other examples at each run
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
