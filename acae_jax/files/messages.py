"""What went wrong, in a form for messages."""


def one_line(error: BaseException) -> str:
    """What an error says, on one line of bounded length (it may quote a file); its type if it says
    nothing.
    """
    line = " ".join(str(error).split())
    return (line if len(line) < 400 else f"{line[:400]} …") or type(error).__name__
