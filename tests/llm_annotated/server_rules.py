"""Rules by which a local server answers the prompts of judges and attribute writers: from a request's JSON to text."""

import json

from tests.llm_annotated.prompting.reading_blocks import read_prompt


def reads(request):
    """Attributes by the prompt's last digit; of two candidates the longer one."""
    user = next(m["content"] for m in request["messages"] if m["role"] == "user")
    blocks = read_prompt(user).target
    if "candidate_1" not in blocks:
        repaired = len(request["messages"]) > 2
        return json.dumps(
            {
                "task_category": "math",
                # Wrong at first: a writer is shown its error, and corrects it.
                "objectivity": "objective" if repaired else "both",
                "controversiality": "low",
                "desired_attributes": "The right sum.",
                "annotation_guideline": "Add up.",
            }
        )
    one, two = len(blocks["candidate_1"]), len(blocks["candidate_2"])
    verdict = "tie" if one == two else "1" if one > two else "2"
    return json.dumps({"reasoning": "length", "verdict": verdict}) if "response_format" in request else verdict
