// SPDX-License-Identifier: Apache-2.0

/**
 * What `model quantize --check` reads when it is given no text: some 1,500 tokens, written for it, so that no model has seen them.
 * Several kinds of text, because a model may lose in one of them only.
 */
export const CHECK_TEXT = `The ferry to the island left twice a day, and in winter only when the captain felt like it. Marta had missed the morning crossing by
the length of a handshake, so she sat on her suitcase at the end of the pier and watched the wake close behind the boat. It was October.
The water had the colour of slate, and the gulls stood along the railing like people waiting for a bus. She had a letter in her coat that
she did not want to deliver, an address that was three years old, and eleven hours until the next chance to change her mind.

At noon an old man came down the pier with a bucket and a folding chair. He put both down beside her without asking, threaded a piece of
bread onto a hook, and let the line fall straight into the water.

"You are waiting for the four o'clock," he said.
"I was told it goes at nine."
"At nine it goes when there is mail. At four it goes when there is fish." He looked at the float for a while. "Today there is neither, but
he owes me money, so it will go at four."

She laughed, and it surprised her. By the time the boat came they had caught two small mackerel and agreed about nothing: not about the
government, not about the weather, and least of all about whether a person should open a letter that is addressed to somebody else.

How a lock works is easier to see than to say. A canal lock is a chamber with a gate at each end. To lift a boat, the lower gate is opened,
the boat moves in, and the gate is shut behind it. Then a valve lets water flow from the upper level into the chamber until both are equally
high. No pump is needed: the water runs downhill by itself, and the boat rises with it. When the levels are the same there is no pressure
left on the upper gate, so one person can push it open. Going down is the same in reverse. Each passage costs one chamber of water, which
is why canals need a reservoir at their highest point, and why a dry summer can close a waterway that has never been shallow.

The same idea, of waiting until two sides are equal before opening the door between them, turns up in places that have nothing to do with
boats. Divers come up slowly for that reason. Accountants close their books at the end of a month before they compare them. Two computers
that exchange files first agree on how much each of them has already received. In every case the waiting looks like lost time, and in every
case the alternative is a flood.

Lentil soup for four. You need 250 grams of brown lentils, one onion, two carrots, a stick of celery, two cloves of garlic, a tablespoon of
tomato paste, a litre of vegetable stock, a bay leaf, olive oil, vinegar, salt and pepper.
1. Rinse the lentils and pick out small stones.
2. Chop the onion, the carrots and the celery, and cook them in oil over low heat for ten minutes, until they are soft but not brown.
3. Add the garlic and the tomato paste and stir for one minute.
4. Add the lentils, the stock and the bay leaf. Bring it to the boil, then let it simmer for 30 to 40 minutes.
5. Take out the bay leaf, season with salt, pepper and a spoonful of vinegar, and serve it with bread. It is better on the next day.

Here is a function that finds the position of a value in a sorted list, or where it would have to be inserted:

def position(values, wanted):
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low

assert position([], 3) == 0
assert position([1, 3, 5], 3) == 1
assert position([1, 3, 5], 4) == 2

The loop keeps one promise: everything before low is smaller than the wanted value, and everything from high on is not. Each round makes
the distance between them smaller, so it ends; when they meet, there is only one place left. A list of a million entries takes twenty rounds.

Station report, week 41
day        min  max  rain  wind
Monday      6   13   0.0   west 3
Tuesday     7   12   4.2   west 5
Wednesday   8   11   11.6  southwest 7
Thursday    5   10   1.4   northwest 4
Friday      2   11   0.0   north 2
The highest gust was measured on Wednesday at 14:20, with 27 metres per second. The road to the harbour was closed for two hours.

Dear Mr Olsen,
thank you for your letter of 3 October. We have looked into the matter of the second invoice and found that you are right: the repair of the
pump was covered by the guarantee, and the amount of 184.50 should never have been charged. It will be returned to your account within ten
days. As for your question about the noise, our technician thinks that it comes from the bearing and not from the motor. He will be in your
area on Thursday of next week and could call on you between two and four in the afternoon. Please let us know whether that suits you.
With kind regards, Ingrid Holm

What do we know when we know a language? Not its words alone, for a dictionary knows more of them than anybody. Not its rules alone, since
most speakers could not state a single one, and would be surprised to hear how many they follow. A child of four, asked to point at a picture
of one wug and then of two, says wugs without hesitation, though nobody has ever said that word to her before. She has not stored an answer;
she has stored a way of making answers. The odd thing is that she makes mistakes of the same kind, says goed and mouses for a year or two,
after having said went and mice correctly when she was younger. She got worse because she had understood something.

By the time Marta stepped onto the island it was dark, and the lamp at the landing had gone out. The old man carried her suitcase as far as
the post office and would not take anything for it. "If they have moved," he said, "come back to the boat. If they have not moved, come back
to the boat as well, and tell me." Then he walked up the road with his bucket and his folding chair, and she could hear him whistling long
after she had lost sight of him. She took out the letter. There was a light in the second house on the left, and somebody was playing the
same four notes on a piano, again and again, getting the last one wrong.
`;
