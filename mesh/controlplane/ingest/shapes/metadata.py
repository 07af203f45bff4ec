"""The metadata of every resource, and how a rule names its workload."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.values import Name, once

DRY_RUN = "istio.io/dry-run"
"""The annotation of an AuthorizationPolicy that only counts what it would do."""
_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_OF_ISTIO = "istio.io"


def _carried(found: dict[str, str]) -> dict[str, str]:
    """Refuse a key that Istio reads and this control plane does not."""
    for key in found:
        domain = key.rpartition("/")[0]
        if key != DRY_RUN and (domain == _OF_ISTIO or domain.endswith(f".{_OF_ISTIO}")):
            raise ValueError(
                f"{key} is refused: Istio reads it and one machine does not; remove it"
            )
    return found


def _label(found: dict[str, str]) -> dict[str, str]:
    if DRY_RUN in found:
        raise ValueError(f"{DRY_RUN} is an annotation; move it to annotations")
    return found


Key = Annotated[str, Field(pattern=_KEY)]
LabelText = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]
AnnotationText = Annotated[str, Field(max_length=4096)]


class Metadata(Shape):
    """The metadata of every resource. All resources are in the bank's one namespace.

    Labels and annotations are for other programs, except `istio.io/dry-run`.
    """

    name: Name
    namespace: Literal["bp"]
    labels: (
        Annotated[
            dict[Key, LabelText],
            AfterValidator(_carried),
            AfterValidator(_label),
            Field(max_length=64),
        ]
        | None
    ) = None
    annotations: (
        Annotated[dict[Key, AnnotationText], AfterValidator(_carried), Field(max_length=64)] | None
    ) = None


class Selector(Shape):
    """The workload to which a rule applies, by its label `app`."""

    match_labels: Annotated[dict[Literal["app"], Name], Field(min_length=1)]


class WorkloadSelector(Shape):
    """The workload of a Sidecar, by its label `app`."""

    labels: Annotated[dict[Literal["app"], Name], Field(min_length=1)]


class OfGateway(Shape):
    """The gateway as the workload to which a rule applies."""

    match_labels: Annotated[dict[Literal["app"], Literal["gateway"]], Field(min_length=1)]


ExportTo = Annotated[
    list[Literal[".", "*"]], Field(min_length=1, max_length=1), AfterValidator(once)
]
"""Both values mean the same, because all resources are in one namespace."""


def is_dry_run(metadata: Metadata) -> bool:
    """Return whether the annotation says that a policy only counts."""
    return (metadata.annotations or {}).get(DRY_RUN) == "true"
