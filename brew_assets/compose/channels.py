"""The queue, the metrics and the ways to people that the settings name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from brew_assets.compose.store import CLOCK, reach_of
from brew_assets.engine.notifier import Channel
from brew_assets.engine.ports import Clock
from brew_assets.settings import Secret, Settings

if TYPE_CHECKING:
    from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics
    from brew_assets.adapters.aws.sqs import EventQueue


def build_event_queue(settings: Settings) -> "EventQueue | None":
    """The queue of TRIGGER_QUEUE_URL, None where that is empty. Nothing is contacted yet."""
    if not settings.trigger_queue_url:
        return None
    from brew_assets.adapters.aws.sqs import EventQueue

    return EventQueue(
        settings.trigger_queue_url,
        dead_letter_url=settings.trigger_dead_letter_queue_url,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach_of(settings),
    )


def build_metrics(settings: Settings) -> "CloudWatchMetrics | None":
    """Where metrics go, None unless ENABLE_METRICS. Nothing is contacted yet."""
    if not settings.enable_metrics:
        return None
    from brew_assets.adapters.aws.cloudwatch import CloudWatchMetrics

    return CloudWatchMetrics(
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach_of(settings),
    )


def build_channels(settings: Settings, *, clock: Clock = CLOCK) -> tuple[Channel, ...]:
    """The ways to people and other systems that the settings name. Nothing is contacted yet."""
    channels: list[Channel] = []
    region, endpoint_url = settings.aws_region, settings.aws_endpoint_url or None
    reach = reach_of(settings)
    if settings.enable_notifications and settings.slack_webhook_secret_name:
        from brew_assets.adapters.aws.secrets import WebhookSecret

        secret = settings.slack_webhook_secret_name
        webhook = WebhookSecret(secret, region=region, endpoint_url=endpoint_url, reach=reach)
        channels.append(_slack(settings, webhook, clock))
    elif settings.enable_notifications and settings.slack_webhook_url:
        channels.append(_slack(settings, lambda: settings.slack_webhook_url, clock))
    if settings.enable_notifications and (settings.sns_topic_arn or settings.sns_security_topic_arn):
        from brew_assets.adapters.aws.sns import SnsSecurityTopic, SnsTopic

        if settings.sns_topic_arn:
            channels.append(
                SnsTopic(settings.sns_topic_arn, region=region, endpoint_url=endpoint_url, reach=reach)
            )
        if settings.sns_security_topic_arn:
            channels.append(
                SnsSecurityTopic(
                    settings.sns_security_topic_arn, region=region, endpoint_url=endpoint_url, reach=reach
                )
            )
    metrics = build_metrics(settings)
    if metrics is not None:
        from brew_assets.adapters.aws.cloudwatch import MetricsChannel

        channels.append(MetricsChannel(metrics, clock))
    return tuple(channels)


def _slack(settings: Settings, webhook: Callable[[], Secret], clock: Clock) -> Channel:
    from brew_assets.adapters.slack import SlackWebhook

    return SlackWebhook(
        webhook,
        channel=settings.slack_channel,
        username=settings.slack_username,
        reach=reach_of(settings),
        clock=clock,
    )
