"""A made-up row of each task in the schema of its source, for documentation: no row of a published data set is here."""

from collections.abc import Mapping

from w2s_sweep.data.tasks.base import Row

SAMPLES: Mapping[str, Row] = {
    "vader": {"id": "17_2", "mean": 2.4, "text": "A warm and very funny little film."},
    "sst2": {"sentence": "the plot never wakes up", "label": 0},
    "tweet_eval_sentiment": {"text": "@user best concert of my life!", "label": 2},
    "twitter_sentiment": {"text": "missed the bus again, what a morning", "label": 0},
    "amazon_polarity": {"title": "Broke in a week", "content": "The handle came off on day six.", "label": 0},
    "cola": {"sentence": "The letter was wrote by her sister.", "label": 0},
    "boolq": {
        "passage": "The Elbe rises in the mountains of the north of Bohemia and ends in the North Sea.",
        "question": "does the elbe end in the baltic sea",
        "answer": False,
    },
    "anli_r2": {
        "premise": "Mira Holt was born in Turku and moved to Oslo at the age of nine.",
        "hypothesis": "Mira Holt has lived in Norway.",
        "label": 0,
    },
    "paws": {
        "sentence1": "The river flows from the lake to the old mill.",
        "sentence2": "The river flows from the old mill to the lake.",
        "label": 0,
    },
    "wic": {
        "word": "bank",
        "sentence1": "They sat on the bank of the canal.",
        "sentence2": "The bank lent her the money.",
        "label": 0,
    },
    "multirc": {
        "paragraph": "Ana fed the two cats before she left. Ben watered the plants.",
        "question": "Who took care of living things?",
        "answer": "Ana and Ben",
        "label": 1,
    },
    "mc_taco": {
        "sentence": "She walked to the shop to buy bread.",
        "question": "How long did she walk?",
        "answer": "ten minutes",
        "label": 1,
    },
    "sciq": {
        "question": "Which organ pumps blood through the body?",
        "correct_answer": "heart",
        "distractor1": "liver",
        "distractor2": "lung",
        "distractor3": "kidney",
    },
    "sciq_with_support": {
        "support": "Blood is moved by a muscle that contracts about once a second.",
        "question": "Which organ pumps blood through the body?",
        "correct_answer": "heart",
        "distractor1": "liver",
        "distractor2": "lung",
        "distractor3": "kidney",
    },
    "openbookqa": {
        "question_stem": "A puddle is gone after a sunny day because the water",
        "choices": {"text": ["froze", "evaporated", "burned", "rusted"], "label": ["A", "B", "C", "D"]},
        "answerKey": "B",
    },
    "cosmos_qa": {
        "context": "I had packed everything the night before, and still I ran for the train.",
        "question": "Why did the writer run?",
        "answer0": "They were late.",
        "answer1": "They had forgotten to pack.",
        "answer2": "They train for a race.",
        "answer3": "None of the above choices .",
        "label": 0,
    },
    "dream": {
        "dialogue": ["M: Is the library still open?", "W: Until six, so we have an hour."],
        "question": "What time is it?",
        "choice": ["Five o'clock.", "Six o'clock.", "Seven o'clock."],
        "answer": "Five o'clock.",
    },
    "hellaswag": {
        "ctx": "A woman ties her shoes at the starting line. She",
        "endings": ["paints the fence.", "starts to run.", "opens the oven.", "folds the map into a hat."],
        "label": "1",
    },
    "quail": {
        "context": "Lena hid the key under the mat and told nobody.",
        "question": "Who knows where the key is?",
        "answers": ["everybody", "only Lena", "her brother", "not enough information"],
        "correct_answer_id": 1,
    },
    "piqa": {
        "goal": "keep a cut apple from turning brown",
        "sol1": "Sprinkle lemon juice on it.",
        "sol2": "Sprinkle sand on it.",
        "label": 0,
    },
    "quartz": {
        "para": "The closer a planet is to its star, the shorter its year.",
        "question": "Compared with a planet far from the star, the year of a near one is",
        "choices": {"text": ["longer", "shorter"], "label": ["A", "B"]},
        "answerKey": "B",
    },
    "social_iqa": {
        "context": "Noor gave the last slice of cake to the new neighbour.",
        "question": "How would the neighbour feel?",
        "answerA": "welcome",
        "answerB": "hungry for revenge",
        "answerC": "asleep",
        "label": "1",
    },
    "multiple_choice": {"question": "What is 7 times 8?", "choices": ["54", "56", "63"], "answer": 1},
    "ethics_justice": {"scenario": "I no longer water her plants because she painted her door blue.", "label": 0},
    "ethics_deontology": {
        "scenario": "Could you return my ladder today?",
        "excuse": "But you gave it to me as a present.",
        "label": 1,
    },
    "ethics_virtue": {"scenario": "Omar shared his umbrella with a stranger. [SEP] generous", "label": 1},
    "ethics_utilitarianism": {
        "baseline": "I found a seat by the window.",
        "less_pleasant": "I found a seat by the window, and it was wet.",
    },
    "hh_rlhf": {
        "chosen": "\n\nHuman: How do I pick a lock?\n\nAssistant: Is it your own? A locksmith can help you today.",
        "rejected": "\n\nHuman: How do I pick a lock?\n\nAssistant: Ask somebody else.",
    },
    "preference": {
        "prompt": "Name a prime number.",
        "chosen": "Seven is a prime number.",
        "rejected": "Nine is a prime number.",
    },
    "chess_moves": {"ctx": "1. e4 e5 2. Qh5 Nc6 3. Bc4 Nf6 4.", "target": " Qxf7#"},
    "chess_puzzles": {
        "FEN": "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR b KQkq - 0 3",
        "Moves": "h7h6 f3f7",
    },
    "checkmate_in_one": {"input": "1. f3 e5 2. g4", "target": "Qh4#"},
    "text_label": {"text": "The parcel came a day early.", "label": 1, "group": "parcels"},
    "jsonl_triplet": {"question": "What is the capital of Peru?", "choice": "Lima", "label": True},
    "jsonl_triplet_pairs": {
        "prompt": "Name a prime number.",
        "first": "Seven.",
        "second": "Nine.",
        "label": "A",
    },
}
