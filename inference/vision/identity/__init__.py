"""Whose face is it? Reference faces of sessions: registered, kept encrypted, and compared with what the camera shows.

How a worker uses it, from start to frame:

    vault = Vault(load_key(settings))            # FeatureMissing where no key is set; BadSettings where it is no key
    comparer = Comparer(embedder, card)          # in the `Analyst`, around a loaded `FaceEmbeddingBackend`
    references = References(bus, vault)          # on the event loop
    reference = await references.of(session)     # for frames with "identity" in `looks`; None: nothing to compare with
    checks = comparer.check([Asked(...), ...])   # on the models' thread, a whole batch of sessions at once
    async with Registrar(settings, bus, lane, vault, references, missing): ...   # answers the api

Where there is no key or no model, `vault` and `references` are None and `missing` is the FeatureMissing that says so: a
`Registrar` is needed all the same, to answer with the command. `References.of` never raises. `Comparer.check` gives an
`IdentityCheck` for each `Asked`, in order, abstaining by itself where a face cannot be compared. What the `Registrar`
needs of the `Analyst`, which `Lane.run` hands to it, is what `FaceModels` says: `finder` and `comparer`.
"""

from inference.vision.identity.comparing import Asked, Comparer
from inference.vision.identity.portraits import FaceModels
from inference.vision.identity.references import References
from inference.vision.identity.registrar import Registrar
from inference.vision.identity.vault import Reference, Vault, load_key

__all__ = ["Asked", "Comparer", "FaceModels", "Reference", "References", "Registrar", "Vault", "load_key"]
