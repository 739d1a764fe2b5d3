"""The exact all-pairs join: a plan, tiles of work, kernels with proven margins, and where they run."""
