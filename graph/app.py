"""The whole service as one picture."""

from pydantic import BaseModel, ConfigDict
from ray.serve import Application

from deployments.classifier import Classifier
from deployments.embedder import Embedder
from deployments.retriever import Retriever
from graph.ingress import Ingress


class Args(BaseModel):
    """Nothing is passed here: serve_config.yaml sets replicas, the environment all the rest."""

    model_config = ConfigDict(extra="forbid")


def build(args: Args) -> Application:
    """Return the graph: one ingress over a classifier, an embedder and a retriever."""
    return Ingress.bind(Classifier.bind(), Embedder.bind(), Retriever.bind())  # type: ignore[attr-defined, no-any-return]
