// SPDX-License-Identifier: Apache-2.0
// A hundred questions: half have answers that repeat much of the question (quotes, edits of code), half have not.

/** Texts to quote from; code to change. */
const PASSAGES = [
	"The lighthouse on the northern cape was built of grey granite in the summer of 1871. Its lamp burned colza oil for forty years before a petroleum burner replaced it. The keeper's log records three wrecks, two of them in the same November storm, and a visit by a painter who stayed a month and paid with four small landscapes.",
	"Bread dough rises because yeast turns sugar into carbon dioxide and alcohol. Gluten, a network of proteins that kneading stretches, holds the gas in small bubbles. In the oven the bubbles expand, the alcohol evaporates, and the starch sets at about ninety degrees, so that the crumb keeps its shape when the loaf cools.",
	"The committee met on Tuesday to discuss the bridge. Mrs. Okafor reported that the eastern pier had settled by two centimetres since spring. Mr. Lindqvist proposed to close one lane until the survey is complete. The committee agreed, asked for weekly measurements, and will meet again on the first Monday of October.",
	"A glacier is a river that forgot how to hurry. Snow falls on its upper basin, is pressed into ice by later snow, and creeps downhill under its own weight, a few centimetres a day. It carries stones on its back and in its belly, and where it ends it leaves them in a long curved hill called a moraine.",
	"The parcel service delivers on weekdays between eight in the morning and six in the evening. If nobody is at home, the driver leaves a card and takes the parcel to the nearest shop, where it is kept for seven days. A parcel that weighs more than twenty kilograms is delivered only by appointment.",
];
const PROGRAMS = [
	"function total(items) {\n  let sum = 0;\n  for (const item of items) {\n    sum += item.price * item.quantity;\n  }\n  return sum;\n}\n\nfunction average(items) {\n  return total(items) / items.length;\n}",
	"def read_config(path):\n    values = {}\n    with open(path) as file:\n        for line in file:\n            line = line.strip()\n            if not line or line.startswith('#'):\n                continue\n            key, value = line.split('=', 1)\n            values[key.strip()] = value.strip()\n    return values",
	"class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.items.append(item)\n\n    def pop(self):\n        if not self.items:\n            raise IndexError('the stack is empty')\n        return self.items.pop()\n\n    def size(self):\n        return len(self.items)",
	"SELECT customer.name, SUM(invoice.amount) AS total\nFROM customer\nJOIN invoice ON invoice.customer_id = customer.id\nWHERE invoice.paid = FALSE\nGROUP BY customer.name\nORDER BY total DESC\nLIMIT 10;",
	"public class Counter {\n    private int value;\n\n    public void increment() {\n        value = value + 1;\n    }\n\n    public void decrement() {\n        value = value - 1;\n    }\n\n    public int getValue() {\n        return value;\n    }\n}",
];
const QUOTING = [
	"Repeat the following text word for word.",
	"Copy this text exactly, then stop.",
	"Summarise this text by quoting its most important sentences word for word.",
	"Correct any spelling mistakes in this text and print all of it.",
	"Print this text again, with a title above it.",
];
const EDITING = [
	"Rename nothing and print this code again.",
	"Add a comment to the first line and print the whole code.",
	"Check this code for mistakes and print the complete, corrected code.",
	"Format this code and print all of it.",
	"Explain this code in one sentence, then repeat it.",
];
const TOPICS = [
	"the moon",
	"a small bakery",
	"learning to swim",
	"old maps",
	"the sound of rain",
	"trains",
	"honey bees",
	"a lost letter",
	"mountains",
	"the first snow",
];
const ASKING = [
	(topic: string) => `Write a short story about ${topic}.`,
	(topic: string) => `What should a child know about ${topic}?`,
	(topic: string) => `Write three sentences about ${topic} that nobody has written before.`,
	(topic: string) => `Why do people like ${topic}?`,
	(topic: string) => `Compare ${topic} with the sea.`,
];

/** Answers repeat much of these. */
export const COPYING: readonly string[] = [
	...PASSAGES.flatMap((text) => QUOTING.map((task) => `${task}\n\n${text}`)),
	...PROGRAMS.flatMap((code) => EDITING.map((task) => `${task}\n\n${code}`)),
];

/** Answers to these are new text. */
export const ORDINARY: readonly string[] = TOPICS.flatMap((topic) => ASKING.map((ask) => ask(topic)));
