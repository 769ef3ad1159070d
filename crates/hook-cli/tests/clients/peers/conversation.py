"""How a test talks with these programs: a line of JSON each way, one question at a time, until stdin ends."""

import asyncio
import json
import sys


async def converse(answers):
    """Answers each question with what its coroutine returns, or with `{"error": …}`."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        given = json.loads(line)
        ask = given.pop("ask")
        try:
            answer = await answers[ask](**given)
        except Exception as error:  # whatever is wrong, the test wants to know
            answer = {"error": describe(error)}
        print(json.dumps(answer or {}), flush=True)


def describe(error):
    """An exception, and those that a group of tasks has gathered."""
    causes = getattr(error, "exceptions", None)
    return "; ".join(describe(cause) for cause in causes) if causes else f"{type(error).__name__}: {error}"
