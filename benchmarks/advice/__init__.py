"""Does the advice help? Real tasks, models as people write them, and the advice against honest rivals.

    python -m benchmarks.advice --quick       # 20 minutes
    python -m benchmarks.advice               # all cells; goes on where it was interrupted
    python -m benchmarks.advice --render      # docs/benchmarks.md from the committed results

`tasks.py` holds data and models, `menu.py` what can be changed about a model, `arms.py` who decides on the changes,
`training.py` one training, `cells.py` what is measured where and kept, `summary.py` the figures, `page.py` the page.
"""
