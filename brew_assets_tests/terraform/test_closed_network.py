"""What a closed network needs: proxies, certificates and the registry's user reach who needs them."""

import json

import pytest

from brew_assets_tests.terraform.mocked import Mocked
from brew_assets_tests.terraform.test_wiring import CA, PROXY, REGISTRY, SETTINGS

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]

OWN_KEY = "arn:aws:kms:us-east-1:123456789012:key/33333333-2222-3333-4444-555555555555"


def test_secrets_reach_every_container_and_the_lambda_by_name_only(everything: Mocked) -> None:
    for definition in everything.of_kind("aws_ecs_task_definition"):
        (container,) = json.loads(definition.values["container_definitions"])
        assert {pair["name"]: pair["valueFrom"] for pair in container["secrets"][1:]} == {
            "CA_BUNDLE_PEM": CA,
            "HTTPS_PROXY": PROXY,
        }
        plain = {pair["name"]: pair["value"] for pair in container["environment"]}
        # ECS refuses a name that stands among both.
        assert not {"HTTPS_PROXY", "CA_BUNDLE_PEM"} & plain.keys()
        assert plain["NO_PROXY"] == SETTINGS["NO_PROXY"]
        assert plain["BOTTLE_REGISTRY_SECRET_NAME"] == REGISTRY
    function = everything.value("lambda.aws_lambda_function.this", "environment")[0]["variables"]
    assert (function["HTTPS_PROXY_SECRET_NAME"], function["CA_BUNDLE_SECRET_NAME"]) == (PROXY, CA)
    assert "HTTPS_PROXY" not in function
    for name in ("NO_PROXY", "CA_BUNDLE_FILE", "BOTTLE_REGISTRY_SECRET_NAME", "EXCLUDE_FORMULAE"):
        assert function[name] == SETTINGS[name]


def test_roles_read_exactly_the_secrets_that_they_need(everything: Mocked, nothing: Mocked) -> None:
    def readable(mocked: Mocked) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for role, text in mocked.outputs["policies_json"].items():
            for statement in json.loads(text)["Statement"]:
                if "secretsmanager:GetSecretValue" in statement["Action"]:
                    found.setdefault(role, set()).update(statement["Resource"])
        return found

    database = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-test-AbCdEf"
    slack = readable(nothing)["code"]
    assert readable(everything) == {
        "code": slack,
        "execution": {database, PROXY, CA},
        "run": {REGISTRY},
        "lambda": {REGISTRY, PROXY, CA},
    }
    assert readable(nothing).keys() == {"code", "execution"}
    for role, text in everything.outputs["policies_json"].items():
        assert (OWN_KEY in text) == (role in ("execution", "run", "lambda")), role


def test_the_way_to_the_proxy_is_open_and_the_lambda_stands_where_it_leads(
    everything: Mocked, nothing: Mocked
) -> None:
    rules = {
        resource.address.split(".", 2)[2]: resource.values
        for resource in everything.of_kind("aws_vpc_security_group_egress_rule", "aws_network_acl_rule")
        if "proxy" in resource.address
    }
    assert sorted(rules) == [
        "aws_network_acl_rule.private_out_proxy[0]",
        "aws_network_acl_rule.public_in_proxy[0]",
        "aws_network_acl_rule.public_out_proxy[0]",
        *(
            f'aws_vpc_security_group_egress_rule.proxy["{role}"]'
            for role in ("code", "daemon", "lambda", "run", "webserver")
        ),
    ]
    assert {(rule["from_port"], rule["to_port"]) for rule in rules.values()} == {(3128, 3128)}
    # 443 is open without them.
    assert not [address for address in nothing.resources if "proxy" in address]
    for mocked, subnets in ((everything, 3), (nothing, 2)):
        (network,) = mocked.value("lambda.aws_lambda_function.this", "vpc_config")
        assert (len(network["security_group_ids"]), subnets >= len(network["subnet_ids"]) >= 1) == (1, True)
        assert "ec2:CreateNetworkInterface" in mocked.outputs["policies_json"]["lambda"]
