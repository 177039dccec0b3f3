"""All runs beside the paper: tables, tests, verdicts, checks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["replicas"],
    submod_attrs={
        "agreement": ["agreement_table", "published_units", "run_partings"],
        "claims": ["CLAIMS", "claims_table", "comparable_sets", "verdicts_table"],
        "kinds": ["Evidence"],
        "measures": ["curvature_shares", "flattening", "of_size", "resolution"],
        "replicas": ["ensemble", "ensemble_table", "memberships"],
        "result_tables": ["read_table", "write_tables"],
        "seeds": ["seeds_table"],
        "trends": ["COMPARABLE"],
        "validation": ["check_results"],
    },
)
