"""Rules against the answers of Prometheus, as the folder of cases holds them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule
from tests.cep.cases import case, case_names, compared, differences, events, metrics, needs_cases

pytestmark = needs_cases

REPLAYED = (
    "p01_threshold", "p02_for_exact", "p05_for_and_keep", "p11_counter_reset", "p25_day_over_day",
    "p25b_day_over_day_5m", "p28b_boundary_prom3", "p29_label_churn", "p30_grid_30s", "p32_late_start",
    "p36_burn_rate", "p39_bool_threshold_per_ci", "p40_neg_offset_window",
)  # fmt: skip


def answers(name: str, rules: list[dict[str, Any]]) -> list[Any]:
    """What differs, when *rules* (named as the native ones in their order) are replayed on the case's data."""
    read = case(name)
    names = {f"rule-{n}": native["alert"] for n, native in enumerate(read["native"]["rules"], start=1)}
    assert len(rules) == len(names)
    found = replay(rules, metrics=metrics(name), **read["eval"])
    return differences(name, found.with_columns(pl.col("rule").replace_strict(names, return_dtype=pl.String)))


@pytest.mark.parametrize("name", REPLAYED)
def test_neutral_rule_fires_as_prometheus(name: str) -> None:
    neutral = case(name)["neutral_rule"]

    assert [] == answers(name, neutral if isinstance(neutral, list) else [neutral])


def _fuzz(inst: dict[str, Any], avg: dict[str, Any], rate: dict[str, Any], service: float, both: float) -> list[Any]:
    """The five rules of the p5x cases in the neutral language."""
    rates = {"metric": "errs_total", "agg": "rate", "over": "5m", "op": ">"}
    return [
        {"when": {"metric": "cpu", "op": ">", "value": inst.pop("value")}, **inst},
        {"when": {"metric": "cpu", "agg": "avg", "over": avg["over"], "op": ">", "value": avg["value"]}, "for": "2m"},
        {"when": {**rates, "value": 0.8137}, **rate},
        {"when": {"metric": "cpu", "by": ["service"], "reduce": "max", "op": ">", "value": service}, "for": "1m"},
        {"when": {"all": [{"metric": "cpu", "op": ">", "value": both}, {**rates, "value": 0.5137}]}},
    ]


def _native(when: dict[str, Any], hold: str = "15m", severity: str = "warning") -> dict[str, Any]:
    return {"when": when, "for": hold, "labels": {"severity": severity}}


def _of(metric: str, op: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "op": op, "value": value, **more}


KSM = {"job": "kube-state-metrics"}
UNREACHABLE = {
    "KubeAPIInstanceUnreachable": "kube-apiserver",
    "KubeProxyInstanceUnreachable": "kube-proxy",
    "KubeSchedulerInstanceUnreachable": "kube-scheduler",
    "KubeControllerManagerInstanceUnreachable": "kube-controller-manager",
    "KubeletInstanceUnreachable": "kubelet",
}
TRANSLATED: dict[str, list[dict[str, Any]]] = {
    "p52_fuzz": _fuzz(
        {"value": 80, "for": "1m", "keep_firing_for": "2m"},
        {"over": "5m", "value": 70.0037},
        {"keep_firing_for": "2m"},
        85,
        70,
    ),
    "p55_fuzz": _fuzz({"value": 85, "for": "3m"}, {"over": "3m", "value": 75.0037}, {}, 90, 75),
    "p56_fuzz": _fuzz({"value": 85, "for": "0s"}, {"over": "5m", "value": 75.0037}, {}, 90, 75),
    "k_KubeJobFailed_1": [_native(_of("kube_job_failed", ">", 0, where=KSM))],
    "k_KubeDeploymentRolloutStuck_1": [
        _native(
            _of(
                "kube_deployment_status_condition",
                "!=",
                0,
                where={"condition": "Progressing", "status": "false", **KSM},
            )
        )
    ],
    "k_KubePodCrashLooping_1": [
        _native(
            _of(
                "kube_pod_container_status_waiting_reason",
                ">=",
                1,
                agg="max",
                over="5m",
                where={"reason": "CrashLoopBackOff", **KSM},
            )
        )
    ],
    "r01_HostOutOfMemory": [
        _native(
            {
                "ratio": [{"metric": "node_memory_MemAvailable_bytes"}, {"metric": "node_memory_MemTotal_bytes"}],
                "op": "<",
                "value": 0.10,
            },
            "2m",
        )
    ],
    "r05_HostSystemdServiceCrashed": [
        _native(_of("node_systemd_unit_state", "==", 1, where={"state": "failed"}), "0s")
    ],
    **{
        f"k_{side}Certificate{what}_1": rules
        for side, old in (("KubeletClient", "certificate_manager_client"), ("KubeletServer", ""))
        for what, rules in (
            (
                "Expiration",
                [
                    _native(
                        _of(f"kubelet_certificate_manager_{side[7:].lower()}_ttl_seconds", "<", limit), "0s", severity
                    )
                    for limit, severity in ((604800, "warning"), (86400, "critical"))
                ],
            ),
            (
                "RenewalErrors",
                [
                    _native(
                        _of(
                            f"kubelet_{old}_expiration_renew_errors"
                            if old
                            else "kubelet_server_expiration_renew_errors",
                            ">",
                            0,
                            agg="increase",
                            over="5m",
                        )
                    )
                ],
            ),
        )
    },
    **{
        f"k_{name}_{number}": [_native(_of("up", "==", 0, where={"job": job}))]
        for name, job in UNREACHABLE.items()
        for number in (1, 2)
    },
}


@pytest.mark.parametrize("name", TRANSLATED)
def test_native_rule_said_in_our_words_fires_as_prometheus(name: str) -> None:
    assert [] == answers(name, [dict(rule) for rule in TRANSLATED[name]])


SEQUENCES = (
    "d12_cross_metric_event", "e01_seq_within", "e02_seq3", "e03_until", "e04_overlap", "e05_equal_ts",
    "e06_conditions", "e24_fuzz", "f03_relaxed_skip_next", "f06_negation",
)  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_are_those_of_the_other_engines(name: str) -> None:
    given: dict[str, Any] = {"events": events(name), "metrics": metrics(name)}
    found = replay(case(name)["neutral_rule"], **given, start="2026-03-01T00:00Z", end="2026-03-02T00:00Z")

    rows: list[dict[str, Any]] = []
    for match, ci, evidence in found.select("match", "ci", "evidence").iter_rows():
        row: dict[str, Any] = {"match": match, "ci": ci}
        for number, record in enumerate(evidence, start=1):
            at = f"{record['ts']:%Y-%m-%dT%H:%M:%SZ}"
            row |= {f"step{number}_seq": record["record_id"], f"step{number}_ts": at}
        first, second = evidence[0]["record_id"], evidence[1]["record_id"]
        row |= {"a_seq": first, "b_seq": second, "deploy_seq": first, "first_breach": row["step2_ts"]}
        rows.append(row)

    assert compared(name, rows) == []


UNSUPPORTED = {
    "d01_topo_2hops": "near", "d04_common_upstream": "common_upstream", "d05_dst_business_hours": "active",
    "d07_dst_ambiguous_hour": "count", "d08_late_data": "data_as_of", "d09_no_data_event": "end",
    "p27_subquery": "promql", "s01_event_count": "count", "s03_temporal": "together", "s05_count_eq": "count",
    "t02_dependency_inhibition": "near", "t05_near_downstream": "near",
}  # fmt: skip


def test_each_case_with_a_neutral_rule_is_replayed_or_refused() -> None:
    assert {name for name in case_names() if "neutral_rule" in case(name)} == {*REPLAYED, *SEQUENCES, *UNSUPPORTED}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_yet_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRule, match=f"{UNSUPPORTED[name]}: there is no such field"):
        load(case(name)["neutral_rule"])
