"""From a verified folder to probabilities: what is refused, what is looked at first, what replays exactly."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
import yaml
from mlflow.models import infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as sk_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from conftest import FEATURES, TRUSTED, make_pipeline
from fielded.decisions.explaining import explain
from fielded.definition.deployment import Feature, ModelRef
from fielded.words.errors import Finding, Refused
from fielded.world.model_files import describe, signature_findings
from fielded.world.models import LoadedModel, features_of, load_model, one_native_thread

REF = ModelRef(name="m", alias="production", previous_alias="previous")
RNG = np.random.default_rng(0)
PLAIN = pd.DataFrame({"hours": RNG.normal(size=400), "age": RNG.normal(size=400)})
LABEL = (PLAIN.hours + PLAIN.age > 0).astype(int)


def save(folder: Path, estimator: Any, frame: Any, **options: Any) -> Path:
    with warnings.catch_warnings():  # MLflow's hints to the author of a model
        warnings.simplefilter("ignore")
        settings: dict[str, Any] = {
            "signature": infer_signature(frame, estimator.predict_proba(frame)),
            "input_example": frame[:20],
            "pyfunc_predict_fn": "predict_proba",
            "skops_trusted_types": [*TRUSTED, "sklearn.tree._tree.Tree"],
            "pip_requirements": ["scikit-learn"],
            **options,
        }
        mlflow.sklearn.save_model(estimator, str(folder), **settings)
    return folder


def save_function(folder: Path, answer: Callable[[pd.DataFrame], Any], frame: pd.DataFrame = PLAIN) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Answering(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN202, ARG002 - it reads hints
                return answer(model_input)

        mlflow.pyfunc.save_model(
            str(folder),
            python_model=Answering(),
            signature=infer_signature(frame, np.array([0.5])),
            input_example=frame.head(20),
            pip_requirements=["numpy"],
        )
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """conftest's pipeline: a missing age, whole numbers, a category."""
    pipeline, frame = make_pipeline()
    folder = save(tmp_path_factory.mktemp("tree") / "model", pipeline, frame)
    return SimpleNamespace(folder=folder, pipeline=pipeline, frame=frame, loaded=load_model(folder, REF))


def batch_of(frame: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(frame, preserve_index=False)


def definition(features: Mapping[str, Feature]) -> Any:
    return SimpleNamespace(model=REF, features=dict(features))


WANTED = {
    "hours": Feature(type="float"),
    "age": Feature(type="float", nullable=True),
    "earlier": Feature(type="int"),
    "month": Feature(type="int"),
    "kind": Feature(type="category"),
}


def findings(folder: Path, features: Mapping[str, Feature] = WANTED) -> list[Finding]:
    return signature_findings(describe(folder), definition(features))


class TestFindings:
    def test_a_model_that_fits_has_none(self, tree: Any) -> None:
        assert findings(tree.folder) == []
        described = describe(tree.folder)
        assert [name for name, _ in described.inputs] == list(FEATURES)
        assert (described.flavor, described.probabilities, described.has_example) == ("sklearn", True, True)

    def test_another_order_is_one_finding_with_both_orders(self, tree: Any) -> None:
        (finding,) = findings(tree.folder, dict(reversed(WANTED.items())))
        assert (finding.field, finding.got) == ("features", "kind, month, earlier, age, hours")
        assert finding.expected == "hours, age, earlier, month, kind"

    def test_a_feature_too_many_and_one_too_few(self, tree: Any) -> None:
        more = findings(tree.folder, {**WANTED, "crew": Feature(type="int")})
        fewer = findings(tree.folder, {name: rule for name, rule in WANTED.items() if name != "age"})
        assert [finding.field for finding in (*more, *fewer)] == ["features", "features"]

    @pytest.mark.parametrize(
        ("name", "rule", "got"),
        [
            ("hours", Feature(type="int"), "int"),
            ("earlier", Feature(type="float"), "float"),
            ("earlier", Feature(type="int", nullable=True), "int, nullable"),
            ("kind", Feature(type="bool"), "bool"),
            ("kind", Feature(type="float"), "float"),
        ],
    )
    def test_a_type_that_does_not_fit_the_signature(self, tree: Any, name: str, rule: Feature, got: str) -> None:
        (finding,) = findings(tree.folder, {**WANTED, name: rule})
        assert (finding.field, finding.got) == (f"features.{name}.type", got)
        assert "signature" in finding.expected

    def test_all_that_is_wrong_is_found_at_once(self, tmp_path: Path) -> None:
        pipeline, frame = make_pipeline()
        options = {"pyfunc_predict_fn": "predict", "input_example": None}
        folder = save(tmp_path / "model", pipeline, frame, **options)
        wrong = {**WANTED, "hours": Feature(type="category")}
        fields = [finding.field for finding in findings(folder, wrong)]
        assert fields == ["features.hours.type", "python_function.predict_fn", "input_example"]

    def test_a_model_without_signature(self, tmp_path: Path) -> None:
        model = LogisticRegression().fit(PLAIN, LABEL)
        folder = save(tmp_path / "model", model, PLAIN, signature=False, input_example=None)
        (finding,) = findings(folder)
        assert finding.field == "signature"
        assert "infer_signature" in finding.next_step

    def test_a_signature_without_names(self, tmp_path: Path) -> None:
        model = LogisticRegression().fit(PLAIN.to_numpy(), LABEL)
        folder = save(tmp_path / "model", model, PLAIN.to_numpy())
        assert [finding.field for finding in findings(folder)] == ["signature"]
        with pytest.raises(Refused):
            load_model(folder, REF)

    def test_a_folder_without_a_readable_mlmodel_is_refused(self, tmp_path: Path) -> None:
        for text in (None, "flavors: [", "just text", "flavors: {}\nsignature: {inputs: nonsense}"):
            if text is not None:
                (tmp_path / "MLmodel").write_text(text)
            with pytest.raises(Refused, match="MLmodel"):
                describe(tmp_path)


class TestRefusedBeforeLoading:
    @pytest.mark.parametrize(
        "options",
        [{"pyfunc_predict_fn": "predict"}, {"input_example": None}, {"signature": False, "input_example": None}],
        ids=["labels", "no example", "no signature"],
    )
    def test_a_model_that_cannot_be_proven(self, tmp_path: Path, options: dict[str, Any]) -> None:
        folder = save(tmp_path / "model", LogisticRegression().fit(PLAIN, LABEL), PLAIN, **options)
        (folder / "model.skops").write_bytes(b"reading this would fail otherwise")
        with pytest.raises(Refused, match=r"cannot be scored as logged\. `fielded check`"):
            load_model(folder, REF)

    def test_a_skops_file_with_a_type_that_is_not_trusted(self, tmp_path: Path) -> None:
        folder = save(tmp_path / "model", LogisticRegression().fit(PLAIN, LABEL), PLAIN)
        skops.io.dump(LogisticRegression(C=Path("x")), folder / "model.skops")
        with pytest.raises(Refused) as caught:
            load_model(folder, REF)
        assert "pathlib" in str(caught.value)
        assert "Nothing was loaded" in str(caught.value)

    def test_a_list_of_trusted_types_that_came_with_the_model_is_not_believed(self, tmp_path: Path) -> None:
        folder = save(tmp_path / "model", LogisticRegression().fit(PLAIN, LABEL), PLAIN)
        skops.io.dump(LogisticRegression(C=Path("x")), folder / "model.skops")
        unknown = skops.io.get_untrusted_types(file=folder / "model.skops")
        document = yaml.safe_load((folder / "MLmodel").read_text())
        document["flavors"]["sklearn"]["skops_trusted_types"] = unknown
        (folder / "MLmodel").write_text(yaml.safe_dump(document))
        mlflow.pyfunc.load_model(str(folder))  # MLflow believes it
        with pytest.raises(Refused, match="Nothing was loaded"):
            load_model(folder, REF)


class TestFastPathAndPyfunc:
    def test_a_pyfunc_that_calls_another_method_is_refused(self, tmp_path: Path) -> None:
        pipeline, frame = make_pipeline()
        folder = save(tmp_path / "model", pipeline, frame)
        text = (folder / "MLmodel").read_text()
        assert "predict_fn: predict_proba" in text
        (folder / "MLmodel").write_text(text.replace("predict_fn: predict_proba", "predict_fn: predict_log_proba"))
        with pytest.raises(Refused, match="cannot be scored as logged"):
            load_model(folder, REF)

    def test_that_differ_in_the_last_bit_stop_the_load(self, tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        real = mlflow.pyfunc.PyFuncModel.predict

        def off_by_one_bit(self: Any, *args: Any, **options: Any) -> Any:
            output = np.array(real(self, *args, **options))
            output[3] = np.nextafter(output[3], 0)
            return output

        monkeypatch.setattr(mlflow.pyfunc.PyFuncModel, "predict", off_by_one_bit)
        with pytest.raises(Refused, match="expected no difference in any bit"):
            load_model(tree.folder, REF)

    def test_that_agree_give_what_the_pipeline_gives(self, tree: Any) -> None:
        with one_native_thread():
            scores = tree.loaded.predict(batch_of(tree.frame))
        assert scores.dtype == np.float64
        assert scores.tobytes() == np.ascontiguousarray(tree.pipeline.predict_proba(tree.frame)[:, 1]).tobytes()


class TestFunctionsThatAreNoClassifier:
    """Flavour python_function: its output is looked at, since nothing else tells what it means."""

    def test_one_that_gives_probabilities_loads(self, tmp_path: Path) -> None:
        folder = save_function(tmp_path / "model", lambda frame: 1 / (1 + np.exp(-frame["hours"].to_numpy())))
        loaded = load_model(folder, REF)
        assert describe(folder).flavor == "python_function"
        expected = 1 / (1 + np.exp(-PLAIN.hours.to_numpy()))
        assert loaded.predict(batch_of(PLAIN)).tolist() == expected.tolist()

    def test_of_two_columns_without_names_none_is_guessed(self, tmp_path: Path) -> None:
        folder = save_function(tmp_path / "model", lambda frame: np.tile([0.75, 0.25], (len(frame), 1)))
        with pytest.raises(Refused, match=r"got shape \(\d+, 2\)"):
            load_model(folder, REF)

    def test_of_named_columns_the_positive_class_is_taken(self, tmp_path: Path) -> None:
        def answer(frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"yes": np.full(len(frame), 0.25), "no": np.full(len(frame), 0.75)})

        ref = ModelRef(name="m", alias="production", previous_alias="previous", positive_class="yes")
        loaded = load_model(save_function(tmp_path / "model", answer), ref)
        assert set(loaded.predict(batch_of(PLAIN))) == {0.25}

    def test_labels_that_come_as_floats_are_refused(self, tmp_path: Path) -> None:
        folder = save_function(tmp_path / "model", lambda frame: (frame["hours"] > 0).to_numpy().astype(float))
        with pytest.raises(Refused, match="not class labels"):
            load_model(folder, REF)

    @pytest.mark.parametrize(
        "answer",
        [
            lambda frame: (frame["hours"] > 0).astype(int).to_numpy(),
            lambda frame: np.where(frame["hours"] > 0, "late", "on time"),
            lambda frame: frame["hours"].to_numpy() * 0 + 1.5,
            lambda frame: frame["hours"].to_numpy() * 0 - 0.001,
            lambda frame: frame["hours"].to_numpy() * np.nan,
            lambda frame: np.full(len(frame) - 1, 0.5),
            lambda frame: np.full((len(frame), 3), 1 / 3),
        ],
        ids=["labels", "words", "above 1", "below 0", "nan", "too few", "three classes"],
    )
    def test_one_that_gives_something_else_is_refused(
        self, tmp_path: Path, answer: Callable[[pd.DataFrame], Any]
    ) -> None:
        with pytest.raises(Refused):
            load_model(save_function(tmp_path / "model", answer), REF)


class TestPositiveClass:
    def saved(self, folder: Path, label: Any) -> Path:
        return save(folder / "model", DecisionTreeClassifier(max_depth=3).fit(PLAIN, label), PLAIN)

    def ref(self, positive: str | int | bool | None) -> ModelRef:
        return ModelRef(name="m", alias="production", previous_alias="previous", positive_class=positive)

    @pytest.mark.parametrize(("positive", "column"), [("late", 0), ("on time", 1)])
    def test_of_texts_the_named_one_is_scored(self, tmp_path: Path, positive: str, column: int) -> None:
        folder = self.saved(tmp_path, np.where(LABEL == 1, "late", "on time"))
        loaded = load_model(folder, self.ref(positive))
        model = DecisionTreeClassifier(max_depth=3).fit(PLAIN, np.where(LABEL == 1, "late", "on time"))
        assert loaded.predict(batch_of(PLAIN)).tolist() == model.predict_proba(PLAIN)[:, column].tolist()

    @pytest.mark.parametrize("positive", [None, "LATE", 1])
    def test_of_texts_an_unnamed_or_unknown_one_is_refused(
        self, tmp_path: Path, positive: str | int | None
    ) -> None:
        folder = self.saved(tmp_path, np.where(LABEL == 1, "late", "on time"))
        with pytest.raises(Refused, match="positive_class"):
            load_model(folder, self.ref(positive))

    def test_of_no_and_yes_it_is_yes(self, tmp_path: Path) -> None:
        loaded = load_model(self.saved(tmp_path, LABEL == 1), self.ref(None))
        assert loaded.predict(batch_of(PLAIN)).mean() == pytest.approx(LABEL.mean(), abs=0.05)
        assert np.corrcoef(loaded.predict(batch_of(PLAIN)), LABEL)[0, 1] > 0.5

    def test_three_classes_are_refused(self, tmp_path: Path) -> None:
        folder = self.saved(tmp_path, RNG.integers(0, 3, len(PLAIN)))
        with pytest.raises(Refused, match=r"got classes \[0, 1, 2\]"):
            load_model(folder, self.ref(1))


class TestTypesOfFeatures:
    def test_a_nullable_int_reaches_the_model_as_a_number_with_nan(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"hours": PLAIN.hours, "crew": np.where(RNG.random(400) < 0.2, np.nan, 4.0)})
        model = HistGradientBoostingClassifier(max_iter=5).fit(frame, LABEL)
        folder = save(tmp_path / "model", model, frame)
        rules = {"hours": Feature(type="float"), "crew": Feature(type="int", nullable=True)}
        assert findings(folder, rules) == []
        crew = pa.array(frame.crew, pa.int64(), from_pandas=True)
        batch = pa.RecordBatch.from_arrays([pa.array(frame.hours), crew], names=["hours", "crew"])
        scores = load_model(folder, REF).predict(batch)
        assert scores.tolist() == model.predict_proba(frame)[:, 1].tolist()

    def test_bools_texts_and_missing_texts(self, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {
                "hours": PLAIN.hours,
                "overdue": RNG.random(400) < 0.5,
                "kind": np.where(RNG.random(400) < 0.1, None, RNG.choice(["a", "b"], 400)),
            }
        ).astype({"kind": object})
        columns = ColumnTransformer(
            [("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"])], remainder="passthrough"
        )
        model = sk_pipeline(columns, DecisionTreeClassifier(max_depth=4, random_state=0))
        model.fit(frame.fillna({"kind": np.nan}), LABEL)
        example = frame.fillna({"kind": "a"})
        folder = save(tmp_path / "model", model, example)
        rules = {"hours": Feature(type="float"), "overdue": Feature(type="bool"), "kind": Feature(type="category")}
        assert findings(folder, rules) == []
        batch = pa.RecordBatch.from_arrays(
            [pa.array(frame.hours), pa.array(frame.overdue), pa.array(frame.kind, pa.string(), from_pandas=True)],
            names=list(frame),
        )
        scores = load_model(folder, REF).predict(batch)
        assert scores.tolist() == model.predict_proba(frame.fillna({"kind": np.nan}))[:, 1].tolist()

    def test_a_number_beyond_the_signatures_32_bits_is_refused_not_wrapped(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"hours": PLAIN.hours, "count": RNG.integers(0, 9, 400).astype(np.int32)})
        model = DecisionTreeClassifier(max_depth=2).fit(frame, LABEL)
        loaded = load_model(save(tmp_path / "model", model, frame), REF)
        assert dict(loaded.described.inputs)["count"] == "integer"
        large = pa.RecordBatch.from_pydict({"hours": [0.0], "count": [2**32 + 5]})
        with pytest.raises(Refused, match="32 bits"):
            loaded.predict(large)

    def test_float32_signatures_are_fed_float32(self, tmp_path: Path) -> None:
        frame = PLAIN.astype(np.float32)
        model = sk_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=3)).fit(frame, LABEL)
        folder = save(tmp_path / "model", model, frame)
        assert describe(folder).inputs == (("hours", "float"), ("age", "float"))
        scores = load_model(folder, REF).predict(batch_of(frame.astype(np.float64)))
        assert scores.tolist() == model.predict_proba(frame)[:, 1].tolist()


class TestReplay:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_scores_of_the_tree_model_do_not_depend_on_the_rows_beside_them(self, tree: Any, size: int) -> None:
        assert tree.loaded.row_exact
        batch = batch_of(tree.frame.head(1000))
        with one_native_thread():
            together = tree.loaded.predict(batch)
            parts = [tree.loaded.predict(batch.slice(start, size)) for start in range(0, 1000, size)]
        assert np.concatenate(parts).tobytes() == together.tobytes()

    def test_a_second_load_gives_the_same_bits(self, tree: Any) -> None:
        batch = batch_of(tree.frame.head(100))
        again: LoadedModel = load_model(tree.folder, REF)
        assert again.predict(batch).tobytes() == tree.loaded.predict(batch).tobytes()

    def test_what_is_said_of_a_linear_model_is_what_it_does(self, tmp_path: Path) -> None:
        """Its dot product may be summed in another order for other numbers of rows; then `row_exact` says no."""
        wide = pd.DataFrame(RNG.normal(size=(400, 40)), columns=[f"f{number}" for number in range(40)])
        model = sk_pipeline(StandardScaler(), LogisticRegression()).fit(wide, LABEL)
        loaded = load_model(save(tmp_path / "model", model, wide), REF)
        example = batch_of(wide.head(20))
        with one_native_thread():
            together = loaded.predict(example)
            alone = np.concatenate([loaded.predict(example.slice(row, 1)) for row in range(20)])
            many = loaded.predict(pa.Table.from_batches([example] * 40).combine_chunks().to_batches()[0])
        same = alone.tobytes() == together.tobytes() and many.tobytes() == together.tobytes() * 40
        assert loaded.row_exact == same
        assert np.allclose(alone, together, rtol=1e-12)


def test_a_signature_type_that_the_definition_has_no_word_for_is_a_finding(tmp_path: Path) -> None:
    schema = Schema([ColSpec("double", "hours"), ColSpec("double", "age"), ColSpec("datetime", "on")])
    signature = mlflow.models.ModelSignature(inputs=schema)
    model = LogisticRegression().fit(PLAIN, LABEL)
    folder = save(tmp_path / "model", model, PLAIN, signature=signature, input_example=None)
    for kind in ("float", "int", "category", "bool"):
        rules = {"hours": Feature(type="float"), "age": Feature(type="float"), "on": Feature(type=kind)}
        assert "features.on.type" in [finding.field for finding in findings(folder, rules)]


class TestBackground:
    """The input example, as what an explanation compares with."""

    def test_it_is_the_example_in_the_models_order_and_types(self, tree: Any) -> None:
        background = tree.loaded.background
        types = [pa.float64(), pa.float64(), pa.int64(), pa.int64(), pa.string()]
        assert background.schema == pa.schema(list(zip(FEATURES, types, strict=True)))
        assert background.equals(batch_of(tree.frame.head(20)).cast(background.schema))
        assert background.column("age").null_count > 0  # a NaN of the example is a missing value here

    def test_of_a_long_example_it_is_the_first_hundred_rows(self, tmp_path: Path) -> None:
        model = DecisionTreeClassifier(max_depth=3).fit(PLAIN, LABEL)
        loaded = load_model(save(tmp_path / "model", model, PLAIN, input_example=PLAIN.head(250)), REF)
        assert loaded.background.equals(batch_of(PLAIN.head(100)))

    def test_a_score_of_the_tree_model_is_explained_over_it(self, tree: Any) -> None:
        loaded: LoadedModel = tree.loaded
        values = {"hours": 400.0, "age": None, "earlier": 3, "month": 5, "kind": None}
        row = features_of(values, loaded.described.inputs)
        found = explain(loaded.predict, row, loaded.background)
        assert found.score == loaded.predict(row)[0]
        assert found.base == pytest.approx(loaded.predict(loaded.background).mean(), abs=1e-12)
        assert found.base + sum(found.contributions.values()) == pytest.approx(found.score, abs=1e-12)
        assert max(found.contributions, key=lambda name: abs(found.contributions[name])) == "hours"
