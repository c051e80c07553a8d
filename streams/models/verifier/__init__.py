"""The verifier predicts whether a worker's answer is right, or would be, from features that are plain code.

Some features are made for English arithmetic word problems, where they were measured (docs/decisions/0008-verifier.md):

- `arithmetic_checks`, `arithmetic`, `expressions`: recomputed equations, numbers of the task that the answer uses, cue
  words such as "altogether" or "each";
- `quantities`: English number words;
- in `text_features`, the counts from `how_many` to `compare`, `number_words`, `negations` and other cue words;
- in `checks`, hedges, corrections, assumptions, rounding and money.

On other tasks and languages these are constant or nearly so, and training leaves them out. These work for any text:
sizes, lines, figures, symbols, brackets, a cut-off ending, quotations that are found in the task, shared words, options
of a multiple-choice question, the stated confidences, and the fields of the event's data, numbers and categories alike.
"""
