import random, json, warnings, sys
warnings.simplefilter('ignore')
from borg.patterns import parse_pattern, ShellPattern
random.seed(int(sys.argv[1]) if len(sys.argv)>1 else 1); N=int(sys.argv[2]) if len(sys.argv)>2 else 400
paths=["","a","b","a/b","a/b/c","ab","ab/c","a.o","x/a.o","a b","a-b","a]b","a[b","a^b","a!b","a\\b","a\nb","b\n","é","é/a","aé","\udcff","a\udcff","a/\udcff/b","aa/bb/cc/aa","xaab/ab","ba/ab/ba","A/B","a/","a*b","a?","{a}","a1","a_1/2","a\tb",
 "b/a/b/a/b","aab/b/aa","-","a-","./a","../a","a/../b","١","x\u0301","中/文"]
def glob():
    toks=["a","b","/","*","**","**/","?","[ab]","[!a]","[a-b]","[!/]","[]a]","[^a]","[b-a]","[a-]","[--a]","[a","]","!","\\","é","\udcff",".","-","[\\a]","[!]]","*/","/*","x","[xb-aé]","[!b-a]","[a-b-c]","."]
    return "".join(random.choice(toks) for _ in range(random.randint(1,6)))
def rx():
    atoms=["a","b","é","/",".","[ab]","[^a]","\\w","\\d","\\s","\\W","[\\w-]","[a\\-b]","[]a]","[^]a]","[[a]","[a&&b]","[a||b]","\\.","\\x61","\\u00e9","\\141","\\/","(a|b)","(?:ab)","(?P<n>a)","(?P=n)","\\1","(?=b)","(?!b)","(?<=a)","(?<!a)","^","$","\\Z","\\A","\\b","\\B","a{2}","a{,2}","a{","{b","a{1,2}?","b*?","a++","(?>a*)","(?#c)","(?i:A)","(?s:.)","(?-i:a)"," ","#","\\\\","-","\\-","\udcff","[\\udcff]","[a-b]","[\\d\\s]","|","\\n","[^\\W]","(?(1)b|a)","[\\x61-\\x62]","[--/]"]
    s="".join(random.choice(atoms) for _ in range(random.randint(1,5)))
    s=random.choice(["","","","(?i)","(?s)","(?m)","(?x)","(?ix)","(?a)"])+s
    for q in ("*","+","?"):
        if random.random()<.15: s+=q
    return s
out=[]
def check(style,pat):
    try:
        p=parse_pattern(style+":"+pat)
    except Exception as e:
        return {"style":style,"pattern":pat,"error":True}
    bits="".join("1" if p.match(x) else "0" for x in paths)
    return {"style":style,"pattern":pat,"match":bits}
for i in range(N):
    out.append(check("fm",glob())); out.append(check("sh",glob())); out.append(check("re",rx()))
    if i%4==0: out.append(check("pp",glob())); out.append(check("pf",glob()))
seen=set(); res=[]
for o in out:
    k=(o["style"],o["pattern"])
    if k in seen: continue
    seen.add(k); res.append(o)
doc={"made_by":"stock Borg 1.4.5 on Python 3.11: parse_pattern(STYLE:PATTERN).match(path) for random patterns; \\udcXX is the undecodable byte XX","paths":paths,"cases":res}
s=json.dumps(doc,ensure_ascii=True)
s=s.replace('{"style"','\n{"style"')
print(s)
