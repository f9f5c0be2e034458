"""What every model backend is: something that loads, runs a batch and closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(height, width, 3) RGB."""

Raw = TypeVar("Raw")


class Backend(Protocol[Raw]):
    """One model. Not safe for threads: whoever owns it calls it from one thread at a time."""

    name: str
    """Model and version, as `frame.seen` reports it."""

    def load(self) -> None:
        """Make the model ready; may take seconds.

        Raises:
            FeatureMissing: the model or its library is absent.
        """

    def run(self, batch: Sequence[Image]) -> list[Raw]:
        """Raw result of each picture, in order."""

    def close(self) -> None:
        """Free the model; `load` may follow. Closing twice does nothing."""
