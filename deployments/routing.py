"""Which replica a call goes to; and that one is there while the only one is told something new."""

import random

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica


class LastReplicaStays(FIFOMixin, RequestRouter):
    """The less busy of two replicas, drawn at random; the last one is never taken out of service.

    A changed `user_config` makes Serve route nothing to a replica from the moment its controller
    calls `reconfigure` until it looks again, a round later, whatever the replica is able to do. Of
    several replicas a few are updated at a time; a deployment with one is away for that round.
    Ours only notes what it is told and goes on answering (DESIGN, decision 6), so an empty set is
    not believed. A replica that is really gone leaves the set by the call that finds it dead.
    """

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Take the replicas that Serve's controller lists, unless it lists none."""
        if replicas or not self.curr_replicas:
            super().update_replicas(replicas)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Draw two; Serve sends the call to the one with fewer calls in its queue."""
        return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]
