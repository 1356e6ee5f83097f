# SPDX-License-Identifier: Apache-2.0
"""The official SDK against a running server: python openai_sdk.py BASE_URL MODEL. Exits non-zero at the first wrong answer."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model = sys.argv[2]
messages = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]

answer = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=32)
text = answer.choices[0].message.content
assert "Paris" in text, text
assert answer.choices[0].finish_reason == "stop"
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

streamed, usage = "", None
for chunk in client.chat.completions.create(
    model=model, messages=messages, temperature=0, max_tokens=32, stream=True, stream_options={"include_usage": True}
):
    if chunk.choices:
        streamed += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
assert streamed == text, (streamed, text)
assert usage.completion_tokens == answer.usage.completion_tokens

completion = client.completions.create(model=model, prompt="1, 2, 3, 4, 5,", temperature=0, max_tokens=8, logprobs=2)
assert "6" in completion.choices[0].text, completion
assert len(completion.choices[0].logprobs.tokens) == completion.usage.completion_tokens

vectors = client.embeddings.create(model=model, input=["one text", "another"], dimensions=16)
assert [len(entry.embedding) for entry in vectors.data] == [16, 16]
assert abs(sum(x * x for x in vectors.data[0].embedding) - 1) < 1e-5
floats = client.embeddings.create(model=model, input="one text", dimensions=16, encoding_format="float")
assert floats.data[0].embedding == vectors.data[0].embedding
assert floats.usage.prompt_tokens < vectors.usage.prompt_tokens

assert [entry.id for entry in client.models.list()] == [model]
assert client.models.retrieve(model).id == model

stream = client.chat.completions.create(model=model, messages=messages, max_tokens=4000, stream=True)
next(iter(stream))
stream.close()

try:
    client.chat.completions.create(model=model, messages=messages, temperature=9)
    raise AssertionError("temperature 9 was accepted")
except openai.BadRequestError as error:
    assert error.param == "temperature", error
try:
    client.chat.completions.create(model="no-such-model", messages=messages)
    raise AssertionError("an unknown model was accepted")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error

print("all passed")
