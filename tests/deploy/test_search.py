"""Search: the clip itself first, and blocks and an index beside one product."""

import importlib.util

import numpy as np
import pytest

from cryjax.deploy import embed, search, table
from cryjax.deploy.recordings import Embedded


def test_search_finds_the_clip_itself_first(trained, sources, tmp_path, capsys):
    out = tmp_path / "e.npz"
    embed.main([str(trained), str(sources), f"--out={out}", "--workers=1"])
    capsys.readouterr()
    like = ["--like", str(sources / "4.wav"), "--count=3"]
    assert search.main([str(trained), str(out), *like]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("/4.wav")
    assert float(lines[1].split()[0]) >= float(lines[3].split()[0])
    (tmp_path / "bad.npz").write_bytes(b"x")
    assert search.main([str(trained), str(tmp_path / "bad.npz"), *like]) == 1
    rng = np.random.default_rng(0)
    h, query = rng.normal(size=(1000, 8)), rng.normal(size=8)
    rows, cosines = search.nearest(query, h, 10)
    true = h @ query / np.linalg.norm(h, axis=1) / np.linalg.norm(query)
    np.testing.assert_array_equal(rows, np.argsort(-true)[:10])
    np.testing.assert_allclose(cosines, np.sort(true)[::-1][:10])


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_blocks_and_an_index_find_what_one_product_finds(tmp_path, monkeypatch, ending):
    rng, path = np.random.default_rng(0), tmp_path / f"e{ending}"
    h, query = rng.normal(size=(500, 16)).astype(np.float32), rng.normal(size=16)
    table.save(path, [Embedded(np.full(500, "a.wav"), np.arange(500.0), np.arange(1, 501.0), h)])
    true, cosines = search.nearest(query, h, 10)
    monkeypatch.setattr(search, "BLOCK", 64)
    file = table.EmbeddingsFile(path)
    rows, found = search.exactly(file, query, 10)
    np.testing.assert_array_equal(rows, true)
    np.testing.assert_allclose(found, cosines, rtol=1e-6)
    assert len(file) == 500
    places = list(file.places(rows))
    assert places == [("a.wav", float(row), float(row + 1)) for row in true]
    with pytest.raises(ValueError, match="holds 16 features, this encoder has 8"):
        search.exactly(file, query[:8], 10)
    if importlib.util.find_spec("faiss") is None:
        with pytest.raises(ValueError, match="pip install faiss-cpu, or --exact"):
            search.by_index(file, query, 10)
        return
    for _ in range(2):  # built, then read
        rows, found = search.by_index(file, query, 10)
        assert len(set(rows.tolist()) & set(true.tolist())) >= 9
        assert found[0] == pytest.approx(cosines[0], abs=2e-3)
    assert len(list(tmp_path.glob("*.faiss"))) == 1
