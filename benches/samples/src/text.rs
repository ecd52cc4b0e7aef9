//! Sentences of common English words.

use crate::random::Random;

/// Common words, the most frequent first.
const WORDS: &str = "the of and to a in that is was he for it with as his on be at by i this had not are but from or \
    have an they which one you were all her she there would their we him been has when who will no more if out so up \
    said what its about than into them can only other time new some could these two may first then do any like my now \
    over such our man me even most made after also did many off before must well back through years where much your \
    way down should because long each just state those people too mister how little good world make very year still \
    see work life here get both between being under three never know same last another while us might great old go \
    come since against right came take used himself few house use place during without again home small found thought \
    went say part once general high upon school every don does got united left number course war until always away \
    something fact water though less public put think almost hand enough far look head yet government system set \
    better night nothing end why called eyes find going later knew point next program city business give group toward \
    young days let room word present possible money figure early history light service matter answer question letter \
    market window morning river garden picture mountain journey village captain message harbour evening weather winter \
    summer station teacher engine island bridge paper silver copper forest meadow narrow gentle quiet sudden distant \
    careful ordinary remember consider together themselves nevertheless circumstance understanding extraordinary";

/// Sentences of 6 to 19 words.
#[derive(Debug)]
pub(crate) struct Sentences {
    random: Random,
    words: Vec<&'static str>,
}

impl Sentences {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, words: WORDS.split_whitespace().collect() }
    }

    /// Appends a sentence, and a space.
    pub(crate) fn append(&mut self, message: &mut Vec<u8>) {
        let first = message.len();
        for index in 0..6 + self.random.below(14) {
            if index > 0 {
                message.extend_from_slice(if self.random.below(12) == 0 { b", " } else { b" " });
            }
            message.extend_from_slice(self.word().as_bytes());
        }
        message[first].make_ascii_uppercase();
        message.extend_from_slice(b". ");
    }

    /// Returns a word. The product of three fractions favours the frequent words, roughly as Zipf's law does.
    fn word(&mut self) -> &'static str {
        let count = self.words.len() as u64;
        let rank = (0..2).fold(self.random.below(count), |rank, _| (rank * self.random.below(1 << 16)) >> 16);
        self.words[rank as usize]
    }
}
