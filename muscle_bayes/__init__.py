"""muscle_bayes: from images of muscle to an honest posterior of what muscle has to do with chronic back pain.

The public names load when they are first used, so that `import muscle_bayes` imports neither torch nor PyMC.
"""

__version__ = "0.1.0"
