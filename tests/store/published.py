"""A stage with little in it, published."""

from w2s_sweep.store.files import write_json

KEY = "0123456789abcdef0123"


def publish(store, key=KEY, text="result"):
    with store.attempt(key) as out:
        (out / "a.txt").write_text(text)
        (out / "sub").mkdir()
        (out / "sub" / "b.bin").write_bytes(bytes(1000))
        write_json(out / "preimage.json", {"kind": "data"})
