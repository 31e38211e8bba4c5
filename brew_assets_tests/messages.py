"""A message as the channels get it: that a scheduled sync is missing."""

from brew_assets.domain.links import Links
from brew_assets.domain.notifications.messages import absence_message
from brew_assets.domain.sync_status import Deployment

PROD = Deployment(environment="prod", threshold_gb=20, cluster="", store_url="s3://bottles", links=Links())
MISSING = absence_message(
    PROD, schedule="weekly", scheduled_for="2025-07-21 03:00", finding="It did not happen."
)
