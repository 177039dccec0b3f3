"""All runs beside the paper: tables, tests, verdicts, checks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["replicas"],
    submod_attrs={
        "agreement": ["agreement_table", "run_partings"],
        "result_tables": ["write_tables"],
        "claims": ["CLAIMS", "claims_table"],
        "seeds": ["seeds_table"],
        "verdicts": ["verdicts_table"],
        "validation": ["check_results"],
    },
)
