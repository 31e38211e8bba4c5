import hashlib
import http.client
import json
import time
from typing import Any

import pytest

from brew_assets.simulator import Fault, SimulatedBottle, Simulator, World
from brew_assets_tests.simulator.client import BEARER, Answer, ask, blob_url, fetch, index_url, locate


def registry_answer(simulator: Simulator, bottle: SimulatedBottle) -> Answer:
    return ask(blob_url(simulator, bottle), BEARER)


def annotations(simulator: Simulator, bottle: SimulatedBottle) -> list[dict[str, Any]]:
    document = json.loads(ask(index_url(simulator, bottle), BEARER).body)
    return [entry["annotations"] for entry in document["manifests"]]


def test_a_stream_breaks_after_n_bytes_of_a_body_announced_whole(
    simulator: Simulator, world: World, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.break_after(1_234))
    broken = fetch(simulator, wget)
    assert broken.broke_off
    assert broken.body == world.blob(wget.digest)[:1_234]
    assert int(broken["Content-Length"]) == wget.size
    assert simulator.bytes_sent == 1_234
    assert (simulator.downloads[wget.digest], simulator.completed[wget.digest]) == (1, 0)
    rest = fetch(simulator, wget, {"Range": "bytes=1234-"})
    assert hashlib.sha256(broken.body + rest.body).hexdigest() == wget.digest
    assert simulator.completed[wget.digest] == 1


def test_a_stream_can_break_before_its_first_byte(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.break_after(0))
    broken = fetch(simulator, wget)
    assert (broken.status, broken.body, broken.broke_off) == (200, b"", True)


def test_a_large_stream_breaks_where_it_was_told_to(simulator: Simulator, world: World) -> None:
    (bottle,) = world.publish("llvm", "22.1.0", size_bytes=12_000_000)
    simulator.fault(bottle.filename, Fault.break_after(9_000_001))
    assert len(fetch(simulator, bottle).body) == 9_000_001


def test_wrong_bytes_have_the_right_length_and_another_digest(
    simulator: Simulator, world: World, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.wrong_bytes())
    spoiled = fetch(simulator, wget).body
    differing = [a != b for a, b in zip(spoiled, world.blob(wget.digest), strict=True)]
    assert differing.count(True) == 1
    assert simulator.completed[wget.digest] == 0
    assert fetch(simulator, wget).body == world.blob(wget.digest)


def test_a_truncated_body_is_announced_short(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.truncated(700))
    short = fetch(simulator, wget)
    assert (short.status, short.broke_off, len(short.body)) == (200, False, 700)
    assert short["Content-Length"] == "700"
    assert simulator.completed[wget.digest] == 0


def test_not_found_lasts_until_faults_are_cleared(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.not_found())
    assert [registry_answer(simulator, wget).status for _ in range(3)] == [404] * 3
    simulator.clear_faults()
    assert registry_answer(simulator, wget).status == 307


@pytest.mark.parametrize("retry_after", ["7", "Sun, 22 Nov 2026 12:00:30 GMT", "880.092µs", "1m2.5s"])
def test_429_carries_each_form_of_retry_after(
    simulator: Simulator, wget: SimulatedBottle, retry_after: str
) -> None:
    simulator.fault(wget.filename, Fault.too_many_requests(retry_after))
    answer = registry_answer(simulator, wget)
    assert answer.status == 429
    # http.client reads headers as Latin-1; the bytes on the wire are UTF-8, as a Go server sends them.
    assert answer["Retry-After"].encode("latin-1").decode() == retry_after
    assert registry_answer(simulator, wget).status == 307


def test_429_can_tell_the_wait_in_its_body_only(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.too_many_requests(None, in_body="880.092µs"))
    answer = registry_answer(simulator, wget)
    assert "Retry-After" not in answer.headers
    assert answer.body.decode() == "toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute"


def test_a_whole_429_body_is_sent_as_it_is_and_the_cdn_can_send_it_too(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    text = "toomanyrequests: retry-after: 2ms, allowed: 1/minute"
    simulator.fault(wget.filename, Fault.too_many_requests("1", in_body=text, at="cdn"))
    answer = fetch(simulator, wget)
    assert (answer.status, answer.body.decode()) == (429, text)


def test_a_burst_of_server_errors_ends(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.server_error(status=503, times=2))
    assert [registry_answer(simulator, wget).status for _ in range(3)] == [503, 503, 307]


def test_a_refusal_has_a_status_a_code_and_headers_and_lasts(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.refusal(403, "DENIED", headers=(("Retry-After", "7"),)))
    for _ in range(2):
        answer = registry_answer(simulator, wget)
        assert (answer.status, answer["Retry-After"]) == (403, "7")
        assert json.loads(answer.body)["errors"][0]["code"] == "DENIED"
    simulator.clear_faults()
    simulator.fault(wget.filename, Fault.refusal(507, at="cdn"))
    answer = fetch(simulator, wget)
    assert (answer.status, answer.body) == (507, b"")


def test_416_answers_a_resume_and_waits_for_one(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.range_not_satisfiable())
    assert fetch(simulator, wget).status == 200
    assert fetch(simulator, wget, {"Range": "bytes=10-"}).status == 416
    assert fetch(simulator, wget, {"Range": "bytes=10-"}).status == 206


def test_a_range_can_be_ignored_for_ever(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.ignores_range())
    for _ in range(2):
        answer = fetch(simulator, wget, {"Range": "bytes=10-"})
        assert (answer.status, len(answer.body)) == (200, wget.size)


def test_a_slow_body_takes_as_long_as_its_rate_says(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.slow(bytes_per_second=20_000))
    begun = time.monotonic()
    answer = fetch(simulator, wget)
    assert hashlib.sha256(answer.body).hexdigest() == wget.digest
    assert time.monotonic() - begun > 0.5 * wget.size / 20_000


def test_a_stalled_body_stays_open_until_the_client_gives_up(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.stalls_after(500))
    connection = http.client.HTTPConnection(simulator.cdn_host, timeout=20)
    connection.request("GET", locate(simulator, wget).split(simulator.cdn_host)[1])
    response = connection.getresponse()
    assert len(response.read(500)) == 500
    connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        response.read(1)
    connection.close()
    assert fetch(simulator, wget).status == 200


def test_a_stalled_body_ends_when_the_server_stops(world: World, wget: SimulatedBottle) -> None:
    with Simulator(world) as simulator:
        simulator.fault(wget.filename, Fault.stalls_after(500))
        connection = http.client.HTTPConnection(simulator.cdn_host, timeout=20)
        connection.request("GET", locate(simulator, wget).split(simulator.cdn_host)[1])
        response = connection.getresponse()
        assert len(response.read(500)) == 500
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


def test_a_login_page_comes_with_status_200(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.html_page())
    answer = fetch(simulator, wget)
    assert (answer.status, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"Sign in" in answer.body
    assert simulator.downloads[wget.digest] == 0


def test_an_expired_token_is_401_and_a_fresh_one_works(world: World, wget: SimulatedBottle) -> None:
    with Simulator(world, token_required=True) as simulator:
        first, second = (fresh_token(simulator) for _ in range(2))
        simulator.fault(wget.filename, Fault.unauthorized())
        statuses = [ask(blob_url(simulator, wget), bearer).status for bearer in (first, first, second)]
    assert statuses == [401, 401, 307]


def test_an_index_can_lack_one_bottle(simulator: Simulator, world: World) -> None:
    sonoma, tahoe = world.publish("jq", "1.8.1", tags=("arm64_sonoma", "arm64_tahoe"))
    simulator.fault(sonoma.filename, Fault.index_lacks_entry())
    listed = [told["sh.brew.bottle.digest"] for told in annotations(simulator, sonoma)]
    assert listed == [tahoe.digest]
    assert fetch(simulator, sonoma).status == 200


def test_an_index_can_lack_a_size_that_the_child_manifest_still_has(
    simulator: Simulator, world: World
) -> None:
    sonoma, tahoe = world.publish("jq", "1.8.1", tags=("arm64_sonoma", "arm64_tahoe"))
    simulator.fault(sonoma.filename, Fault.index_lacks_size(times=1))
    sizes = [told.get("sh.brew.bottle.size") for told in annotations(simulator, sonoma)]
    assert sizes == [None, str(tahoe.size)]
    assert "sh.brew.bottle.size" in annotations(simulator, sonoma)[0]


@pytest.mark.parametrize(
    ("fault", "annotation"),
    [
        (Fault.index_lacks_digest(times=1), "sh.brew.bottle.digest"),
        (Fault.index_lacks_ref_name(times=1), "org.opencontainers.image.ref.name"),
        (Fault.index_lacks_tab(times=1), "sh.brew.tab"),
    ],
)
def test_an_entry_of_an_index_can_lack_what_brew_needs_of_it(
    simulator: Simulator, world: World, fault: Fault, annotation: str
) -> None:
    sonoma, _ = world.publish("jq", "1.8.1", tags=("arm64_sonoma", "arm64_tahoe"))
    simulator.fault(sonoma.filename, fault)
    (spoilt, whole), (healed, _) = annotations(simulator, sonoma), annotations(simulator, sonoma)
    assert whole.keys() - spoilt.keys() == {annotation}
    assert annotation in healed


def test_a_redirect_can_lead_to_a_host_nobody_allowed(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.redirects_to("http://127.0.0.1:1/elsewhere"))
    answer = registry_answer(simulator, wget)
    assert (answer.status, answer["Location"]) == (307, "http://127.0.0.1:1/elsewhere")


def test_faults_play_in_the_order_they_were_scripted(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.server_error(times=1), Fault.too_many_requests("1"))
    simulator.fault(wget.filename, Fault.not_found(times=1))
    assert [registry_answer(simulator, wget).status for _ in range(4)] == [500, 429, 404, 307]


def test_one_bottles_fault_leaves_its_neighbour_alone(simulator: Simulator, world: World) -> None:
    broken, sound = world.publish("jq", "1.8.1", tags=("arm64_sonoma", "arm64_tahoe"))
    simulator.fault(broken.filename, Fault.not_found())
    assert registry_answer(simulator, sound).status == 307
    assert registry_answer(simulator, broken).status == 404


def test_an_index_is_scripted_by_image_and_reference(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault("wget:1.25.0_1", Fault.server_error(times=1))
    assert [ask(index_url(simulator, wget), BEARER).status for _ in range(2)] == [500, 200]


def test_a_fault_for_a_name_nobody_published_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="nothing-1"):
        simulator.fault("nothing-1.0.all.bottle.tar.gz", Fault.not_found())


def test_a_head_leaves_body_faults_for_the_get(simulator: Simulator, wget: SimulatedBottle) -> None:
    simulator.fault(wget.filename, Fault.break_after(10))
    location = locate(simulator, wget)
    assert ask(location, method="HEAD").status == 200
    assert ask(location).broke_off


def test_a_range_beyond_the_end_leaves_body_faults_for_the_next(
    simulator: Simulator, wget: SimulatedBottle
) -> None:
    simulator.fault(wget.filename, Fault.break_after(10))
    assert fetch(simulator, wget, {"Range": f"bytes={wget.size}-"}).status == 416
    assert fetch(simulator, wget).broke_off


def fresh_token(simulator: Simulator) -> dict[str, str]:
    url = f"{simulator.registry_url}/token?service=ghcr.io&scope=repository:homebrew/core/wget:pull"
    return {"Authorization": f"Bearer {json.loads(ask(url).body)['token']}"}
