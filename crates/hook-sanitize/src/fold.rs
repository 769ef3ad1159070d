//! Text without its disguise: look-alikes become the letters that they look like, what nobody sees is left out and counted.
//!
//! Latin letters lose accents and style, Cyrillic and Greek letters stay what they are unless they stand in a word with Latin
//! ones, other scripts stay as they are. The work is one pass over the characters.

use std::sync::LazyLock;

use crate::lexicon::{Lexicon, lexicon};

/// The tags of a flag: a region of up to six letters, and the end.
const LONGEST_FLAG: u8 = 7;

/// What was undone, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Characters without width between two letters of one word.
    pub(crate) zero_width_in_words: u32,
    /// Places in words where a line may be broken, as long words are set: soft hyphens, and others before a capital.
    pub(crate) breaks_in_words: u32,
    /// The longest chain of characters without width.
    pub(crate) longest_chain: u32,
    /// Whether that chain has two kinds of them: then it can carry bits.
    pub(crate) chain_has_bits: bool,
    /// Tag characters that belong to no flag, as the text that they spell.
    pub(crate) tags: String,
    /// Chains of variation selectors, as the bytes that they carry.
    pub(crate) selectors: Vec<u8>,
    /// Controls that turn the direction of text over.
    pub(crate) overrides: u32,
    /// Controls that begin a direction on a line and do not end it there.
    pub(crate) is_unbalanced: bool,
    /// Letters in a style of their own: full-width, mathematical, circled.
    pub(crate) styled: u32,
    /// Words that mix scripts to look like another word.
    pub(crate) mixed_words: u32,
    /// Marks piled on letters.
    pub(crate) marks: u32,
}

impl Evidence {
    /// Whether letters were disguised.
    pub(crate) fn is_disguised(&self) -> bool {
        self.styled > 0 || self.mixed_words > 0 || self.marks > 0 || self.zero_width_in_words + self.breaks_in_words > 0
    }

    /// Whether characters that nobody sees carry something.
    pub(crate) fn is_invisible(&self) -> bool {
        self.tags.len() >= 2
            || self.selectors.len() >= 4
            || self.zero_width_in_words >= 4
            || (self.longest_chain >= 8 && self.chain_has_bits)
    }

    /// Whether text is shown in another order than it is read in.
    pub(crate) fn is_reordered(&self) -> bool {
        self.overrides > 0 || self.is_unbalanced
    }
}

/// A script whose words are not set apart by spaces.
pub(crate) fn is_unspaced(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{0e00}'..='\u{0e7f}')
}

/// A term of the lists as text is folded.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    // The lists are made of this: there is nothing to look a word up in yet.
    fold_with(text, &mut out, None);
    out.to_lowercase()
}

/// Appends the text without its disguise to `out`.
pub(crate) fn fold(text: &str, out: &mut String) -> Evidence {
    fold_with(text, out, Some(lexicon()))
}

fn fold_with(text: &str, out: &mut String, lexicon: Option<&Lexicon>) -> Evidence {
    let word = Word { start: out.len(), ..Word::default() };
    let (evidence, chain) = (Evidence::default(), Chain::default());
    let mut folding = Folding { out, lexicon, evidence, word, chain, open_directions: 0 };
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        folding.ascii(&rest[..plain]);
        rest = &rest[plain..];
        let mut chars = rest.chars();
        if let Some(char) = chars.next() {
            folding.other(char);
            rest = chars.as_str();
        }
    }
    folding.end_word();
    folding.end_chain();
    folding.end_line();
    folding.evidence
}

/// The word that is being written.
#[derive(Default)]
struct Word {
    start: usize,
    latin: u32,
    foreign: u32,
    /// Letters of another script that look like no Latin one: then the word is what it seems to be.
    own: u32,
}

/// Characters without width that follow one another.
#[derive(Default)]
struct Chain {
    length: u32,
    first: char,
    has_two_kinds: bool,
    is_after_letter: bool,
    selectors: Vec<u8>,
    /// How many tags may still belong to the flag before them.
    flag_tags: u8,
}

struct Folding<'o> {
    out: &'o mut String,
    lexicon: Option<&'o Lexicon>,
    evidence: Evidence,
    word: Word,
    chain: Chain,
    /// How many directions the line has begun and not ended.
    open_directions: i32,
}

impl Folding<'_> {
    fn ascii(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if text == " " {
            self.end_chain();
            self.end_word();
            self.out.push(' ');
            self.word.start = self.out.len();
            return;
        }
        let starts_in_word = text.as_bytes()[0].is_ascii_alphanumeric();
        if self.chain.length > 0 && self.chain.is_after_letter && text.as_bytes()[0].is_ascii_alphabetic() {
            self.within_word(char::from(text.as_bytes()[0]));
        }
        self.end_chain();
        let last = text.bytes().rposition(|byte| !byte.is_ascii_alphanumeric());
        match last {
            None => self.word.latin += letters(text),
            Some(last) => {
                let first = text.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(last);
                if starts_in_word {
                    self.word.latin += letters(&text[..first]);
                    self.out.push_str(&text[..first]);
                }
                self.end_word();
                self.out.push_str(&text[if starts_in_word { first } else { 0 }..=last]);
                if self.open_directions != 0 && text.contains('\n') {
                    self.end_line();
                }
                self.word = Word { start: self.out.len(), latin: letters(&text[last + 1..]), foreign: 0, own: 0 };
                self.out.push_str(&text[last + 1..]);
                return;
            }
        }
        self.out.push_str(text);
    }

    fn other(&mut self, char: char) {
        if self.is_usual(char) {
            return;
        }
        match char {
            '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2064}'
            | '\u{feff}'
            | '\u{00ad}'
            | '\u{180e}'
            | '\u{034f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' => self.no_width(char),
            '\u{200e}' | '\u{200f}' | '\u{061c}' => {}
            '\u{202a}' | '\u{202b}' | '\u{2066}'..='\u{2068}' => self.open_directions += 1,
            '\u{202c}' | '\u{2069}' => self.open_directions -= 1,
            '\u{202d}' | '\u{202e}' => {
                self.evidence.overrides += 1;
                self.open_directions += 1;
            }
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => self.selector(char),
            '\u{e0000}'..='\u{e007f}' => self.tag(char),
            '\u{0300}'..='\u{036f}'
            | '\u{0483}'..='\u{0489}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}' => self.evidence.marks += u32::from(!is_common_mark(char)),
            '\u{064b}'..='\u{065f}' | '\u{0670}' | '\u{0640}' | '\u{0591}'..='\u{05c7}' => {}
            '\u{1f3f4}' => {
                self.end_word();
                self.end_chain();
                self.chain.flag_tags = LONGEST_FLAG;
                self.out.push(' ');
            }
            _ => self.visible(char),
        }
    }

    /// Cyrillic and Latin letters, without the questions that others need.
    fn is_usual(&mut self, char: char) -> bool {
        if self.chain.length > 0 || !self.chain.selectors.is_empty() || self.chain.flag_tags > 0 {
            return false;
        }
        match char {
            '\u{0410}'..='\u{044f}' => {
                let lower = lower(char);
                let is_alike = LIKE_LATIN >> (u32::from(lower) - 0x430) & 1 != 0;
                self.word.foreign += u32::from(is_alike);
                self.word.own += u32::from(!is_alike);
                self.out.push(lower);
                true
            }
            '\u{00c0}'..='\u{024f}' => match latin(char) {
                Some(letters) => {
                    self.word.latin += 1;
                    self.out.push_str(letters);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn no_width(&mut self, char: char) {
        if self.chain.length == 0 {
            self.chain.first = char;
            self.chain.is_after_letter = self.out.as_bytes().last().is_some_and(u8::is_ascii_alphabetic);
        }
        self.chain.has_two_kinds |= char != self.chain.first;
        self.chain.length += 1;
    }

    /// Characters without width stand before this letter of a word.
    fn within_word(&mut self, next: char) {
        let is_break = match self.chain.first {
            '\u{00ad}' => self.chain.length == 1,
            '\u{200b}' => self.chain.length == 1 && next.is_uppercase(),
            _ => false,
        };
        match is_break {
            true => self.evidence.breaks_in_words += 1,
            false => self.evidence.zero_width_in_words += 1,
        }
    }

    /// One selector belongs to the character before it; a chain of them is a message.
    fn selector(&mut self, char: char) {
        let value = u32::from(char);
        let byte = if value < 0xe0100 { value - 0xfe00 } else { value - 0xe0100 + 16 };
        self.chain.selectors.push(u8::try_from(byte).unwrap_or_default());
    }

    fn tag(&mut self, char: char) {
        if self.chain.flag_tags > 0 {
            self.chain.flag_tags -= 1;
            return;
        }
        if let Some(ascii) = u8::try_from(u32::from(char) - 0xe0000).ok().filter(|byte| matches!(byte, 0x20..0x7f)) {
            self.evidence.tags.push(char::from(ascii));
        }
    }

    fn visible(&mut self, char: char) {
        if self.chain.length > 0 && self.chain.is_after_letter && char.is_alphabetic() && char < '\u{0250}' {
            self.within_word(char);
        }
        self.end_chain();
        if let Some(letters) = latin(char) {
            self.word.latin += 1;
            self.out.push_str(letters);
        } else if let Some(letter) = styled(char) {
            self.evidence.styled += 1;
            self.word.latin += 1;
            self.out.push(letter);
        } else if looks_latin(lower(char)).is_some() {
            self.word.foreign += 1;
            self.out.push(lower(char));
        } else if is_letter(char) {
            // Its script has other letters beside those that look Latin: the word is what it seems to be.
            self.word.own += 1;
            self.out.push(lower(char));
        } else if matches!(char, '“' | '”' | '„' | '«' | '»' | '「' | '」' | '『' | '』' | '‟' | '‹' | '›')
        {
            self.end_word();
            self.out.push('"');
        } else if matches!(char, '’' | '‘' | 'ʼ' | '′') {
            self.end_word();
            self.out.push('\'');
        } else if matches!(char, '\u{0900}'..='\u{0963}' | '\u{0966}'..='\u{0dff}' | '\u{0e30}'..='\u{0e4e}') {
            // Vowel signs belong to their word.
            self.out.push(char);
        } else {
            self.end_word();
            self.out.push_str(punctuation(char));
            if char == '\u{2028}' {
                self.end_line();
            }
            self.word.start = self.out.len();
        }
    }

    fn end_chain(&mut self) {
        if self.chain.length == 0 && self.chain.selectors.is_empty() && self.chain.flag_tags == 0 {
            return;
        }
        let chain = std::mem::take(&mut self.chain);
        if chain.length > self.evidence.longest_chain {
            self.evidence.longest_chain = chain.length;
            self.evidence.chain_has_bits = chain.has_two_kinds;
        }
        if chain.selectors.len() >= 2 {
            self.evidence.selectors.extend(chain.selectors);
        }
    }

    fn end_line(&mut self) {
        self.evidence.is_unbalanced |= self.open_directions > 0;
        self.open_directions = 0;
    }

    /// Where a word mixes scripts, its foreign letters are the Latin ones that they look like.
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.foreign > 0 && word.own == 0 && (word.latin > 0 || self.has_hidden_word(word.start)) {
            let plain = disguised(&self.out[word.start..]);
            if let Some(plain) = plain {
                self.evidence.mixed_words += 1;
                self.out.truncate(word.start);
                self.out.push_str(&plain);
            }
        }
        self.word.start = self.out.len();
    }

    /// Whether a word of look-alikes alone would be one of ours.
    fn has_hidden_word(&self, start: usize) -> bool {
        let word = &self.out[start..];
        word.chars().count() >= 4
            && self
                .lexicon
                .is_some_and(|lexicon| disguised(word).is_some_and(|plain| lexicon.find(plain.as_bytes()).is_some()))
    }
}

/// The word in Latin letters, where every letter has one.
fn disguised(word: &str) -> Option<String> {
    word.chars().map(|char| if char.is_ascii() { Some(char) } else { looks_latin(char) }).collect()
}

fn letters(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(u8::is_ascii_alphabetic).count()).unwrap_or(u32::MAX)
}

/// Accents as languages write them; a text may have them apart from their letters.
fn is_common_mark(char: char) -> bool {
    matches!(char, '\u{0300}'..='\u{0304}' | '\u{0306}'..='\u{030c}' | '\u{0323}'..='\u{0328}' | '\u{0331}' | '\u{031b}')
}

/// Whether it is a letter. The blocks that hold nothing else are known without the tables of Unicode, which are slow.
fn is_letter(char: char) -> bool {
    let is_block = matches!(
        char,
        '\u{0410}'..='\u{044f}'
            | '\u{05d0}'..='\u{05ea}'
            | '\u{0620}'..='\u{064a}'
            | '\u{0904}'..='\u{0939}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
    );
    is_block || char.is_alphabetic()
}

fn lower(char: char) -> char {
    match char {
        'а'..='я' | '\u{0900}'..='\u{0dff}' | '\u{3040}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => char,
        // The small letters follow the capital ones.
        'А'..='Я' => char::from_u32(u32::from(char) + 0x20).unwrap_or(char),
        'ё' | 'Ё' => 'е',
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' => 'ي',
        'ة' => 'ه',
        '\u{0590}'..='\u{08ff}' => char,
        _ => char.to_lowercase().next().unwrap_or(char),
    }
}

/// Latin letters by what is left of them without accents.
const LATIN: &[(&str, &str)] = &[
    ("a", "àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặªÀÁÂÃÄÅĀĂĄǍǞǠǺȀȂȦḀẠẢẤẦẨẪẬẮẰẲẴẶ"),
    ("b", "ḃḅḇƀɓḂḄḆƁ"),
    ("c", "çćĉċčƈḉÇĆĈĊČƇḈ"),
    ("d", "ďđḋḍḏḑḓðĎĐḊḌḎḐḒÐ"),
    ("e", "èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệÈÉÊËĒĔĖĘĚȄȆȨḔḖḘḚḜẸẺẼẾỀỂỄỆ"),
    ("f", "ḟƒḞ"),
    ("g", "ĝğġģǥǧǵḡĜĞĠĢǤǦǴḠ"),
    ("h", "ĥħȟḣḥḧḩḫẖĤĦȞḢḤḦḨḪ"),
    ("i", "ìíîïĩīĭįıǐȉȋḭḯỉịÌÍÎÏĨĪĬĮİǏȈȊḬḮỈỊ"),
    ("j", "ĵǰĴ"),
    ("k", "ķĸƙǩḱḳḵĶƘǨḰḲḴ"),
    ("l", "ĺļľŀłḷḹḻḽĹĻĽĿŁḶḸḺḼ"),
    ("m", "ḿṁṃḾṀṂ"),
    ("n", "ñńņňŉŋǹṅṇṉṋÑŃŅŇŊǸṄṆṈṊ"),
    ("o", "òóôõöøōŏőơǒǫǭǿȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợºÒÓÔÕÖØŌŎŐƠǑǪǬǾȌȎȪȬȮȰṌṎṐṒỌỎỐỒỔỖỘỚỜỞỠỢ"),
    ("p", "ṕṗƥṔṖƤ"),
    ("r", "ŕŗřȑȓṙṛṝṟŔŖŘȐȒṘṚṜṞ"),
    ("s", "śŝşšſșṡṣṥṧṩŚŜŞŠȘṠṢṤṦṨ"),
    ("t", "ţťŧțṫṭṯṱẗŢŤŦȚṪṬṮṰ"),
    ("u", "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữựÙÚÛÜŨŪŬŮŰŲƯǓǕǗǙǛȔȖṲṴṶṸṺỤỦỨỪỬỮỰ"),
    ("v", "ṽṿṼṾ"),
    ("w", "ŵẁẃẅẇẉẘŴẀẂẄẆẈ"),
    ("x", "ẋẍẊẌ"),
    ("y", "ýÿŷȳẏẙỳỵỷỹÝŶŸȲẎỲỴỶỸ"),
    ("z", "źżžƶẑẓẕŹŻŽƵẐẒẔ"),
    ("ss", "ßẞ"),
    ("ae", "æǽǣÆǼǢ"),
    ("oe", "œŒ"),
    ("th", "þÞ"),
];

/// Makes what is made at first use.
pub(crate) fn prepare() {
    latin('a');
}

/// What an accented Latin letter is without its accent.
fn latin(char: char) -> Option<&'static str> {
    static TABLE: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let mut table = vec![""; 0x1f00];
        for (plain, accented) in LATIN {
            for char in accented.chars() {
                table[char as usize] = plain;
            }
        }
        table
    });
    TABLE.get(char as usize).copied().filter(|plain| !plain.is_empty())
}

/// The letter or digit of a character in a style of its own.
fn styled(char: char) -> Option<char> {
    let value = u32::from(char);
    let letter = |offset: u32| char::from_u32(u32::from(b'a') + offset % 26);
    match value {
        0xff01..=0xff5e => char::from_u32(value - 0xfee0).filter(char::is_ascii_alphanumeric),
        0x1d400..=0x1d6a3 => letter((value - 0x1d400) % 26),
        0x1d7ce..=0x1d7ff => char::from_digit((value - 0x1d7ce) % 10, 10),
        0x24b6..=0x24e9 => letter(value - 0x24b6),
        0x249c..=0x24b5 => letter(value - 0x249c),
        0x1f110..=0x1f129 => letter(value - 0x1f110),
        0x1f130..=0x1f149 => letter(value - 0x1f130),
        0x1f150..=0x1f169 => letter(value - 0x1f150),
        0x1f170..=0x1f189 => letter(value - 0x1f170),
        0x1f1e6..=0x1f1ff => letter(value - 0x1f1e6),
        // Few letters are looked for one by one.
        0x01dd | 0x0250..=0x02ff | 0x1d00..=0x1dbf | 0x2070..=0x214f | 0x2c7d | 0xa730..=0xa7af => {
            STYLED.iter().find(|(_, from)| from.contains(char)).map(|(plain, _)| *plain)
        }
        _ => None,
    }
}

/// Letters in styles that stand in no order.
const STYLED: &[(char, &str)] = &[
    ('a', "ᴀᵃᴬɐₐ"),
    ('b', "ʙᵇᴮℬ"),
    ('c', "ᴄᶜℂℭ"),
    ('d', "ᴅᵈᴰⅆ"),
    ('e', "ᴇᵉᴱℯℰₑⅇǝ"),
    ('f', "ꜰᶠℱ"),
    ('g', "ɢᵍᴳℊɡ"),
    ('h', "ʜʰᴴℋℌℍℎₕ"),
    ('i', "ɪⁱᴵℐℑᵢⅈɩ"),
    ('j', "ᴊʲᴶⅉ"),
    ('k', "ᴋᵏᴷₖ"),
    ('l', "ʟˡᴸℒℓₗ"),
    ('m', "ᴍᵐᴹℳₘ"),
    ('n', "ɴⁿᴺℕₙ"),
    ('o', "ᴏᵒᴼℴₒ"),
    ('p', "ᴘᵖᴾℙₚ"),
    ('q', "ꞯℚ"),
    ('r', "ʀʳᴿℛℜℝᵣ"),
    ('s', "ꜱˢₛ"),
    ('t', "ᴛᵗᵀₜ"),
    ('u', "ᴜᵘᵁᵤ"),
    ('v', "ᴠᵛⱽᵥ"),
    ('w', "ᴡʷᵂ"),
    ('x', "ˣₓ"),
    ('y', "ʏʸ"),
    ('z', "ᴢᶻℤℨ"),
];

/// Which small Cyrillic letters from `а` on look like Latin ones.
const LIKE_LATIN: u32 = like_latin();

const fn like_latin() -> u32 {
    let alike = ['ь', 'а', 'в', 'с', 'е', 'н', 'к', 'м', 'п', 'о', 'р', 'г', 'я', 'т', 'ш', 'х', 'у'];
    let (mut bits, mut at) = (0, 0);
    while at < alike.len() {
        bits |= 1 << (alike[at] as u32 - 0x430);
        at += 1;
    }
    bits
}

/// The Latin letter that a small letter of another script looks like.
fn looks_latin(char: char) -> Option<char> {
    Some(match char {
        'а' | 'α' | 'ɑ' => 'a',
        'ь' | 'в' | 'β' => 'b',
        'с' | 'ϲ' | 'ς' => 'c',
        'ԁ' => 'd',
        'е' | 'є' | 'ε' => 'e',
        'ƒ' | 'ғ' => 'f',
        'ց' => 'g',
        'һ' | 'н' | 'հ' => 'h',
        'і' | 'ї' | 'ι' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' | 'ⅼ' | '\u{05d5}' => 'l',
        'м' | 'μ' => 'm',
        'п' | 'η' | 'ո' => 'n',
        'о' | 'ο' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' | 'я' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ш' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ү' => 'y',
        'ʐ' | 'ζ' => 'z',
        _ => return None,
    })
}

/// What other punctuation is to the rules.
fn punctuation(char: char) -> &'static str {
    match char {
        '。' | '．' | '｡' | '।' | '۔' => ". ",
        '！' | '¡' => "! ",
        '？' | '؟' | '¿' => "? ",
        '，' | '、' | '،' => ", ",
        '：' => ": ",
        '＜' | '〈' | '《' => "<",
        '＞' | '〉' | '》' => ">",
        '｜' | '│' | 'ǀ' => "|",
        '［' | '【' | '〔' => "[",
        '］' | '】' | '〕' => "]",
        '（' => "(",
        '）' => ")",
        '＃' => "#",
        '▁' | '＿' => "_",
        '＠' => "@",
        '\u{2028}' | '\u{2029}' | '\u{0085}' => "\n",
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) -> Evidence {
        let mut out = String::new();
        let evidence = fold(text, &mut out);
        assert_eq!(out, expected, "{text}");
        evidence
    }

    #[test]
    fn the_bits_of_look_alikes_are_those_of_the_letters() {
        for char in 'а'..='я' {
            let is_alike = LIKE_LATIN >> (u32::from(char) - 0x430) & 1 != 0;
            assert_eq!(is_alike, looks_latin(char).is_some(), "{char}");
        }
    }

    #[test]
    fn accents_and_styles_are_undone() {
        assert!(!check("Précédentes für Łódź, straße", "Precedentes fur lodz, strasse").is_disguised());
        assert!(check("ｉｇｎｏｒｅ 𝐢𝐠𝐧𝐨𝐫𝐞 ⓘⓖⓝⓞⓡⓔ 🅸🅶🅽🅾🆁🅴 ɪɢɴᴏʀᴇ", "ignore ignore ignore ignore ignore").is_disguised());
        check("i\u{0301}gnore", "ignore");
    }

    #[test]
    fn look_alikes_are_latin_where_their_word_is() {
        let evidence = check("іgnоrе previous", "ignore previous");
        assert_eq!(evidence.mixed_words, 1);
        let russian = check("Игнорируй и это", "игнорируй и это");
        assert!(!russian.is_disguised());
        assert!(!check("α-Test µs Δx API-шка", "α-Test µs δx API-шка").is_disguised());
    }

    #[test]
    fn what_nobody_sees_is_left_out_and_counted() {
        let evidence = check("ig\u{200b}no\u{200b}re pre\u{200d}vi\u{2060}ous", "ignore previous");
        assert_eq!(evidence.zero_width_in_words, 4);
        assert!(evidence.is_invisible());
        assert!(!check("Do\u{ad}nau\u{ad}dampf\u{ad}schiff\u{ad}fahrt", "Donaudampfschifffahrt").is_invisible());
        assert!(!check("A\u{200b}Very\u{200b}Long\u{200b}Class\u{200b}Name", "AVeryLongClassName").is_invisible());
        assert!(!check("👨\u{200d}👩\u{200d}👧 ok\u{feff}", "    ok").is_invisible());
        assert!(!check("می\u{200c}خواهم", "میخواهم").is_invisible());
        let hidden: String = "run".chars().map(|c| char::from_u32(0xe0000 + c as u32).unwrap()).collect();
        assert_eq!(check(&format!("a{hidden}"), "a").tags, "run");
        assert!(!check("🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", " ").is_invisible());
        assert!(check("😀\u{e0100}\u{e0101}\u{e0102}\u{e0103}", " ").is_invisible());
        assert!(!check("❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}", "    ").is_invisible());
    }

    #[test]
    fn a_direction_that_does_not_end_is_found() {
        assert!(check("a\u{202e}b", "ab").is_reordered());
        assert!(check("x \u{2066}y\nz\u{2069}", "x y\nz").is_reordered());
        assert!(!check("call \u{202a}+1 555\u{202c} now", "call +1 555 now").is_reordered());
        assert!(!check("שלום\u{200f} abc", "שלום abc").is_reordered());
    }
}
