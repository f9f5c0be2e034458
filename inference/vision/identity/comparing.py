"""The main faces of a batch of frames against the registered ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inference.backends.base import Image
from inference.backends.face_embedding import FaceEmbeddingBackend
from inference.models.manifest import Card
from inference.signals import alignment, identity
from inference.signals.identity import Embedding
from inference.signals.landmarks import Points
from inference.vision.identity.vault import Reference
from proto.observations import Face, IdentityCheck


class Asked(NamedTuple):
    """A frame (RGB) whose main face is compared. `faces` has the largest first, with their `abstains` filled in;
    `points_px` is the mesh (478, 3) of the first, None where there is no face.
    """

    image: Image
    faces: Sequence[Face]
    points_px: Points | None
    reference: Reference


class Comparer:
    """An embedding model and what its numbers mean. Used on the models' thread.

    Raises:
        BadSettings: the card's `similarity` cannot be used.
    """

    def __init__(self, embedder: FaceEmbeddingBackend, card: Card) -> None:
        identity.check_mapping(card.similarity, embedder.name)
        self._embedder = embedder
        self._similarity = card.similarity

    @property
    def model(self) -> str:
        return self._embedder.name

    def check(self, batch: Sequence[Asked]) -> list[IdentityCheck]:
        """For each frame whether it shows its session's registered face, or why that cannot be told."""
        reasons = [self._abstention(asked) for asked in batch]
        able = [asked for asked, reason in zip(batch, reasons, strict=True) if not reason]
        found = iter(self.embed([(asked.image, asked.points_px) for asked in able if asked.points_px is not None]))
        return [
            IdentityCheck(reason=reason) if reason else self._told(next(found), asked.reference)
            for asked, reason in zip(batch, reasons, strict=True)
        ]

    def embed(self, faces: Sequence[tuple[Image, Points]]) -> list[Embedding]:
        """Embedding of each face, given as the picture (RGB) it is in and its mesh (478, 3) in pixels, in order."""
        side_px = self._embedder.layout.width_px
        return self._embedder.run([alignment.aligned(image, points_px, side_px) for image, points_px in faces])

    def similarity_pct(self, one: Embedding, other: Embedding) -> float:
        """0-100 by the card's mapping; both of this model."""
        return identity.similarity_pct(one, other, self._similarity)

    def close(self) -> None:
        self._embedder.close()

    def _abstention(self, asked: Asked) -> str:
        reason = identity.abstention(asked.faces)
        if not reason and asked.points_px is None:
            reason = "no_face"
        return reason or ("" if asked.reference.model == self.model else "other_model")

    def _told(self, embedding: Embedding, reference: Reference) -> IdentityCheck:
        if embedding.shape != reference.embedding.shape:
            # The name stayed, the weights did not.
            return IdentityCheck(reason="other_model")
        if not (identity.is_direction(embedding) and identity.is_direction(reference.embedding)):
            return IdentityCheck(reason="no_numbers")
        similarity = self.similarity_pct(embedding, reference.embedding)
        return IdentityCheck(similarity_pct=similarity, matches=identity.matches(similarity))
