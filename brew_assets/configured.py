"""What the settings say, in the words of the engine: platforms, routes, sizes of tasks, places."""

from pathlib import Path

from brew_assets.domain.links import Links
from brew_assets.domain.plan import check_platforms, unknown_platforms
from brew_assets.domain.routing import RoutingRules, TaskSize, decode_task_sizes
from brew_assets.domain.sync_status import Deployment
from brew_assets.errors import PlanInvalid, SettingsInvalid
from brew_assets.setting_values import shown_value
from brew_assets.settings import Settings

# Of Linux, macOS and their file systems.
MAX_FILE_NAME_BYTES = 255


def path_of(name: str, text: str) -> Path:
    """The absolute path that a setting names, "~" as the home of a user.

    Raises:
        SettingsInvalid: there is no such user, or nobody knows this one's home; a part of it is longer than
            names of files are; it is relative, and the current directory is gone.
    """
    expected = "a path, after ~ the name of a user of this machine"
    try:
        path = Path(text).expanduser()
        if all(len(part.encode("utf-8", "surrogatepass")) <= MAX_FILE_NAME_BYTES for part in path.parts):
            return path.absolute()
        expected = f"a path whose parts have at most {MAX_FILE_NAME_BYTES} bytes"
    except RuntimeError:
        pass
    except OSError:
        expected = "an absolute path, since the current directory is gone"
    raise SettingsInvalid(name=name, expected=expected, found=shown_value(text))


def configured_platforms(settings: Settings) -> tuple[str, ...]:
    """The platforms of TARGET_PLATFORMS, each once.

    Raises:
        SettingsInvalid: one that no client machine can be of.
    """
    if unknown := unknown_platforms(settings.target_platforms):
        found = ", ".join(
            f"{shown_value(tag)}{f' (did you mean {chr(44).join(meant)}?)' if meant else ''}"
            for tag, meant in unknown.items()
        )
        expected = "tags that `brew-mirror platforms` lists"
        raise SettingsInvalid(name="TARGET_PLATFORMS", expected=expected, found=found)
    try:
        return check_platforms(settings.target_platforms)
    except PlanInvalid as exc:
        raise SettingsInvalid(name="TARGET_PLATFORMS", expected="at least one tag", found="none") from exc


def configured_api_tags(settings: Settings) -> tuple[str, ...]:
    """The tags whose signed API files are mirrored: TARGET_PLATFORMS and API_TAGS, each once.

    Raises:
        SettingsInvalid: one that no client machine can be of.
    """
    if unknown := unknown_platforms(settings.api_tags):
        found = ", ".join(map(shown_value, unknown))
        expected = "tags that `brew-mirror platforms` lists"
        raise SettingsInvalid(name="API_TAGS", expected=expected, found=found)
    return tuple(dict.fromkeys((*configured_platforms(settings), *settings.api_tags)))


def routing_rules(settings: Settings) -> RoutingRules:
    """What the settings allow a plan's route to be."""
    no_lambda = ""
    if not settings.lambda_sync_function:
        no_lambda = "no Lambda function is configured (LAMBDA_SYNC_FUNCTION)"
    elif not settings.mirror_url.startswith("s3:"):
        no_lambda = "the mirror is a directory, which no Lambda can reach"
    return RoutingRules(
        threshold_gb=settings.size_threshold_gb,
        no_lambda=no_lambda,
        cluster=bool(settings.ecs_cluster_name),
    )


def task_sizes(settings: Settings) -> tuple[TaskSize, ...]:
    """The table of ECS_TASK_SIZES.

    Raises:
        SettingsInvalid: a row cannot be read, or Fargate has no such task.
    """
    try:
        return decode_task_sizes(settings.ecs_task_sizes)
    except ValueError as exc:
        raise SettingsInvalid(
            name="ECS_TASK_SIZES", expected="rows of Fargate's sizes, the last for '*'", found=str(exc)
        ) from exc


def deployment_of(settings: Settings) -> Deployment:
    """What messages say of this deployment."""
    return Deployment(
        environment=settings.environment,
        threshold_gb=settings.size_threshold_gb,
        cluster=settings.ecs_cluster_name,
        store_url=settings.mirror_url.rstrip("/"),
        links=Links(
            dagster_url=settings.dagster_url.rstrip("/"),
            log_group=settings.log_group_name,
            # To ask the AWS profile takes a library that most mirrors need for nothing else.
            region=region_of(settings) if settings.log_group_name else settings.aws_region,
        ),
    )


def region_of(settings: Settings) -> str:
    """The region that links name: AWS_REGION, else AWS_DEFAULT_REGION or the profile's, else us-east-1."""
    if settings.aws_region:
        return settings.aws_region
    from brew_assets.adapters.aws.client import DEFAULT_REGION, aws_session, resolved_region

    try:
        return resolved_region(aws_session(), "")
    except Exception:  # a profile that cannot be read: whoever needs it says so, a link does not
        return DEFAULT_REGION
