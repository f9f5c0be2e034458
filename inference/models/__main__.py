"""`python -m inference.models list|pull|build|calibrate`"""

from __future__ import annotations

from inference.models.cli import main

if __name__ == "__main__":
    main()
