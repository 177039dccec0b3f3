"""Speed, memory and errors of the engine on the machine at hand, beside other simulators: ``python -m benchmarks``.

`parts` measures, `bars` judges, `__main__` writes the file that the book's performance page reads.
"""
