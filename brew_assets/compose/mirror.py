"""Settings -> wired engine: with its neighbours here the one place where adapters are chosen."""

from brew_assets.adapters.formulae_api import FormulaeApi, SignedFiles
from brew_assets.compose.registry import build_registry
from brew_assets.compose.store import CLOCK, build_hash_files, build_store, reach_of, store_hint, way_to
from brew_assets.configured import configured_api_tags, configured_platforms, path_of, routing_rules
from brew_assets.domain.publication_rules import PublicationRules
from brew_assets.engine.clock import GracefulStop
from brew_assets.engine.noticed_ports import (
    NoticedApi,
    NoticedCatalogue,
    NoticedHashFile,
    NoticedRegistry,
    NoticedStore,
)
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Clock, Ports, StopSignal
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier
from brew_assets.settings import Settings


def build_mirror(settings: Settings, *, clock: Clock = CLOCK, stop: StopSignal | None = None) -> Mirror:
    """The engine, wired. Nothing is contacted yet.

    Raises:
        SettingsInvalid: a setting has a value that is not accepted.
    """
    options = Options(
        platforms=configured_platforms(settings),
        workers=settings.max_concurrent_downloads,
        workers_in_ecs=settings.download_concurrency or settings.max_concurrent_downloads,
        batch_size=settings.batch_size,
        retry=RetryPolicy(attempts=settings.retry_attempts, delay_s=settings.retry_delay_seconds),
        include_disabled=settings.include_disabled,
        exclude_formulae=settings.exclude_formulae,
        mirror_formulae=settings.mirror_formulae,
        include_dependencies=settings.include_dependencies,
        routing=routing_rules(settings),
        max_download_gb=settings.max_download_size_gb,
        publication=PublicationRules(
            mode=settings.publish,
            max_upstream=settings.publish_max_upstream,
            max_missing=settings.publish_max_missing,
        ),
        api_tags=configured_api_tags(settings),
        api_consistency_wait_s=settings.api_consistency_wait_seconds,
    )
    return Mirror(_build_ports(settings, clock, stop or GracefulStop()), options)


def build_process_copier(settings: Settings, mirror: Mirror) -> Copier:
    """What copies for the command line: in several processes where that is safe and worth it."""
    from brew_assets.engine.process_copier import ProcessCopier

    return ProcessCopier(
        mirror.ports,
        mirror.options,
        most=settings.max_transfer_processes,
        make_ports=lambda stop: _build_ports(settings, mirror.ports.clock, stop),
    )


def _build_ports(settings: Settings, clock: Clock, stop: StopSignal) -> Ports:
    api_url, hash_url = settings.formulae_api_url, settings.external_hash_file_url
    reach = reach_of(settings)
    timeout_s = settings.download_timeout_seconds
    api = FormulaeApi(api_url, timeout_s=timeout_s, reach=reach, clock=clock, stop=stop)
    signed = SignedFiles(
        api_url,
        key_files=tuple(path_of("API_PUBLIC_KEY", path) for path in settings.api_public_key),
        timeout_s=timeout_s,
        reach=reach,
        clock=clock,
        stop=stop,
    )
    api_hint = f"check FORMULAE_API_URL and the network; {way_to(reach, api_url)}"
    found = build_registry(settings, reach, clock)
    hash_files = build_hash_files(settings, clock=clock, stop=stop)
    hint = f"check BOTTLE_REGISTRY_URL and the network; {way_to(reach, found.url)}"
    registry = NoticedRegistry(found, found, hint=hint)
    hint = f"check EXTERNAL_HASH_FILE_URL and the network; {way_to(reach, hash_url)}"
    return Ports(
        catalogue=NoticedCatalogue(api, hint=api_hint),
        api=None if settings.publish == "off" else NoticedApi(signed, hint=api_hint),
        blobs=registry,
        indexes=registry,
        store=NoticedStore(build_store(settings, clock=clock), hint=store_hint(settings, reach)),
        hash_files=tuple(NoticedHashFile(file, hint=hint) for file in hash_files),
        clock=clock,
        stop=stop,
    )
