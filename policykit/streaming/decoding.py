"""UTF-8 that arrives in pieces: what is said so far is the same however the bytes are cut."""

import codecs


class Decoder:
    """Strict UTF-8 (RFC 3629), chunk by chunk. A character that is cut in two waits for its other bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    @property
    def n_pending(self) -> int:
        """Bytes of a character that is not complete, at most 3."""
        return len(self._decoder.getstate()[0])

    def decode(self, chunk: bytes | str) -> tuple[str, str]:
        """The characters that are complete now, and what is wrong after them (empty if nothing is)."""
        if isinstance(chunk, str):
            return self._text(chunk)
        before = self._decoder.getstate()
        try:
            return self._decoder.decode(chunk), ""
        except UnicodeDecodeError as error:
            # The bytes before the bad one are text, as they would be had they come alone.
            n_good = max(error.start - len(before[0]), 0)
            self._decoder.setstate(before)
            good = self._decoder.decode(chunk[:n_good])
            return good, f"no valid UTF-8: {error.reason}"

    def _text(self, chunk: str) -> tuple[str, str]:
        if chunk and self.n_pending:
            return "", "no valid UTF-8: text follows the first bytes of a character"
        try:
            chunk.encode("utf-8")
        except UnicodeEncodeError as error:
            return chunk[: error.start], "no valid Unicode text: unpaired surrogate"
        return chunk, ""
