"""What is said. Written for the studio; lips close, round, spread and meet the teeth in
each. Training and test share no sentence.
"""

TRAIN = (
    "My brother bought seven big yellow umbrellas.",
    "People walk home from the beach before five.",
    "Mother keeps a warm apple pie by the window.",
    "The baby blue fish moved above the white foam.",
    "Please put my favourite book above the piano.",
    "We found five wolves behind the old farm wall.",
    "Bob wants to move the piano before breakfast.",
    "A few brave women voted for the new bridge.",
    "The film about bees was a lovely surprise.",
    "Maybe the weather will be warmer by Friday.",
    "Do not push the purple boat off the map.",
    "Four happy puppies jumped over the small fence.",
    "The lamp above my bed flickers every morning.",
    "She will pay for both of the museum trips.",
    "Why would anybody leave a bowl of food outside?",
    "Open the window and let the fresh wind blow.",
    "Peter poured the milk over a plate of plums.",
    "Nobody believed what the foreign man was saying.",
    "Every village had a boat and a wooden mill.",
    "We have been making bread for about two hours.",
    "The pilot waved from above the empty bay.",
    "You may borrow my phone while I am away.",
    "Thick smoke moved slowly over the valley floor.",
    "Both of them love playing volleyball in autumn.",
    "Move the lemon and pepper to the back shelf.",
    "My uncle was a famous banjo player in Boston.",
    "The queen of the bees flew out of the hive.",
    "Would you follow me up to the upper platform?",
    "Fifty brown buffalo were eating by the river.",
    "A piece of broken marble fell off the wall.",
    "Probably the mayor will move to a bigger flat.",
    "Our team beat them by five points in April.",
    "Few people remember the name of that poem.",
    "The blue van behind you belongs to Emma.",
    "Put a bit more pepper on the warm beef.",
    "I hope the bus will be on time for once.",
    "The wolf was howling above the frozen pond.",
    "We made up the whole map from memory.",
    "Bring me the bottle of vinegar, if you please.",
    "The farm boy whistled a very simple tune.",
)
TEST = (
    "The old woman put a vase of poppies by the fire.",
    "Five empty boxes were left beneath my table.",
    "We both prefer walking over the wooden bridge.",
    "The puppet show moves to Venice in February.",
    "My mouth was full of warm blueberry muffin.",
    "Would somebody help me open the upper valve?",
    "A white moth flew above the bubbling pot.",
    "Tomorrow I will probably visit my best friend.",
    "The bishop lived above a small shop for wool.",
    "Every evening we play the same beautiful waltz.",
    "Marvin forgot to feed the elephant his bamboo.",
    "The film ends before anyone can blame the boy.",
    "Whoever finds the map may keep the painting.",
    "Bob and Wilma moved their furniture by themselves.",
    "Above the village you may hear a faint bell.",
    "The oven was warm enough for baking pumpkin.",
)
RAVDESS = ("Kids are talking by the door.", "Dogs are sitting by the door.")


def pool(test: bool) -> tuple[str, ...]:
    """The sentences of test actors or of all others."""
    return TEST if test else TRAIN
