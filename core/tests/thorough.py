"""Whether tests draw more examples than by default."""

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
