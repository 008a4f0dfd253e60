"""What AWS tells the world about its keys, and where the local KMS sends it.

    events     EventBridge's events about keys: who hears of an expiry
    couriers   their way out: a webhook, an SQS queue
    trail      CloudTrail's record of every call, as JSON lines
    metrics    CloudWatch's metric of the time left, and counters, as OpenMetrics

All of it is best effort, as it is on AWS: nothing here may delay or fail a request.
"""

from byokd.localkms.outlets.settings import Outlets

__all__ = ["Outlets"]
