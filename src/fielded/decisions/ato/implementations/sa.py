"""System and services acquisition, and the supply chain."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "sa-10",
        does(
            "A version is a digest of its files from its proposal to its load; what was compared, approved and "
            "promoted are the same bytes, and the registry's differ from them only to be noticed.",
            "change-control",
            "model-integrity",
        ),
        seen("In production are files with digest {sha256}.", sha256="model-integrity#/facts/artifact_sha256"),
        evidence=("change-control", "model-integrity"),
        code=("services/release/candidates.py", "world/artifacts.py", "services/approve.py"),
        tests=("services/release/test_candidates.py", "world/test_artifacts.py"),
        examine=("release events: `fielded release history`",),
        interview=("model owner", "who trains the model"),
        left="Configuration management of the training code and of fielded's own source",
    ),
    implement(
        "sa-11",
        does(
            "A candidate is evaluated on labelled rows that it has not learned from, as a whole and by group, "
            "against limits that the definition sets before.",
            "evaluation",
        ),
        evidence=("evaluation", "change-control"),
        code=(
            "services/release/compare.py",
            "decisions/release/performance.py",
            "services/evidence/evaluation.py",
        ),
        tests=("services/release/test_compare.py", "services/release/test_compare_gates.py"),
        examine=("facts of the evidence `evaluation`", "reports of comparisons"),
        interview=("model owner", "who trains the model"),
        left="Tests of the training code",
    ),
    implement(
        "sr-3",
        does("What is installed is compared with the bill of materials that came with it.", "bill-of-materials"),
        seen(
            "The bill names {listed} components; {differing} of those installed are otherwise or not in it.",
            listed="bill-of-materials#/facts/listed",
            differing="bill-of-materials#/facts/differing",
        ),
        evidence=("bill-of-materials", "inventory"),
        code=("services/evidence/controls/inventory.py", "world/bills_of_materials.py"),
        tests=("services/evidence/test_controls_plans.py",),
        examine=("the bill of materials in the package",),
        interview=("who builds the image",),
        left="Choosing suppliers, and deciding on the risk of each",
    ),
    implement(
        "sr-4",
        does(
            "Of the model in production it is known which rows of which tables it learned from, by version, "
            "period and a digest of their content, and which files it is made of.",
            "training-data",
            "model-integrity",
        ),
        evidence=("training-data", "model-integrity"),
        code=("world/provenance.py", "services/evidence/training_data.py", "world/artifacts.py"),
        tests=("world/test_artifacts.py", "services/evidence/test_evidence_documents.py"),
        examine=("the provenance record in the package",),
        interview=("who trains the model", "who keeps the source tables"),
        left="Provenance of the base images and packages",
    ),
)
