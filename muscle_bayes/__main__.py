"""`python -m muscle_bayes` is the command `muscle-bayes`."""

from muscle_bayes.cli import main

if __name__ == "__main__":
    main()
