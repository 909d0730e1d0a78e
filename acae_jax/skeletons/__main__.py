"""`python -m acae_jax.skeletons fit` is `python -m acae_jax.own_skeletons fit`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("acae_jax.own_skeletons", run_name="__main__", alter_sys=True)
